#include "apps/bench/resident.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "engine/base/memory.h"

namespace gridstep::bench {
namespace {

Bytes status_line(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != name) continue;
    Bytes kib = 0;
    status >> kib;
    return kib << 10;
  }
  return 0;
}

// Freed memory that the allocator keeps would hide growth.
Bytes resident_now() {
  release_freed_memory();
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak becomes what is resident now
  return status_line("VmRSS:");
}

}  // namespace

MemoryGrowth::MemoryGrowth(Device& device)
    : device_(device), before_(device.kind() == DeviceKind::kCpu ? resident_now() : device.available_bytes()) {}

Bytes MemoryGrowth::so_far() const {
  const bool on_cpu = device_.kind() == DeviceKind::kCpu;
  const Bytes growth = on_cpu ? status_line("VmHWM:") - before_ : before_ - device_.available_bytes();
  return std::max<Bytes>(growth, 0);
}

}  // namespace gridstep::bench
