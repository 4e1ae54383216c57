// Memory limits that the system sets by control groups, of either version.
#pragma once

#include "engine/base/file.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

// What the groups of this process and those around them leave, in bytes; the largest number where nothing limits it.
// `own` says which groups it is in, `mount` is where groups are mounted. Pages of files count as free: the system takes
// them back first.
Bytes cgroup_available_bytes(const fs::path& own = "/proc/self/cgroup", const fs::path& mount = "/sys/fs/cgroup");

}  // namespace gridstep
