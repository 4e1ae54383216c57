#include "engine/device/cpu_info.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include "engine/device/cgroup.h"

namespace gridstep {
namespace {

// The value of a "Name: value" line in a /proc file; empty when absent.
std::string field(const char* path, std::string_view name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name, 0) != 0) continue;
    const auto colon = line.find(':');
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    return colon == std::string::npos || begin == std::string::npos ? std::string{} : line.substr(begin);
  }
  return {};
}

// Of the address space (`ulimit -v`), beside what threads will reserve for stacks and for their part of the heap.
Bytes left_by_address_space() {
  constexpr double kReserve = 160.0 * (1 << 20);
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<Bytes>::max();
  std::ifstream in("/proc/self/statm");
  double pages = 0.0;
  in >> pages;
  const double used = pages * static_cast<double>(sysconf(_SC_PAGESIZE)) + kReserve;
  return static_cast<Bytes>(std::max(0.0, static_cast<double>(limit.rlim_cur) - used));
}

}  // namespace

std::string cpu_model() {
  const std::string model = field("/proc/cpuinfo", "model name");
  return model.empty() ? "CPU" : model;
}

bool cpu_has_vnni() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

std::string cpu_instruction_set() {
#if defined(__x86_64__)
  if (cpu_has_vnni()) return "AVX-512 VNNI";
  if (__builtin_cpu_supports("avx512f") != 0) return "AVX-512";
  if (__builtin_cpu_supports("avx2") != 0) return "AVX2";
  return "SSE";
#else
  return "generic";
#endif
}

int cpu_usable_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int threads = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                            : static_cast<int>(std::thread::hardware_concurrency());
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  double quota = 0.0, period = 0.0;
  if (in >> quota >> period && quota > 0.0 && period > 0.0) {
    threads = std::min(threads, std::max(1, static_cast<int>(std::ceil(quota / period))));
  }
  return std::max(1, threads);
}

Bytes cpu_available_bytes() {
  Bytes available = std::numeric_limits<Bytes>::max();
  std::istringstream text(field("/proc/meminfo", "MemAvailable"));
  if (Bytes kib = 0; text >> kib) available = kib * 1024;
  return std::min({available, cgroup_available_bytes(), left_by_address_space()});
}

}  // namespace gridstep
