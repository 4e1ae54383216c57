// Facts about the processor this process may use.
#pragma once

#include <string>

#include "engine/tensor/tensor.h"

namespace gridstep {

std::string cpu_model();
std::string cpu_instruction_set();  // "AVX2", "AVX-512", "AVX-512 VNNI"
bool cpu_has_vnni();
int cpu_usable_threads();     // affinity mask and cgroup quota considered
Bytes cpu_available_bytes();  // of memory: the least of MemAvailable, cgroups and ulimit -v

}  // namespace gridstep
