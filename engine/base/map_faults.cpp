#include "engine/base/map_faults.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace gridstep {
namespace {

constexpr int kDataErrorCode = 3;
constexpr std::size_t kPathBytes = 512;

// Plain memory, which a signal handler may read: `begin` is set last and cleared first.
struct Record {
  std::atomic<std::uintptr_t> begin{0};
  std::size_t size = 0;
  char path[kPathBytes] = "";
};

std::array<Record, 256> g_records;
std::mutex g_mutex;

void say(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody is there to be told
}

extern "C" void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Record& record : g_records) {
    const std::uintptr_t begin = record.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address - begin >= record.size) continue;
    say("\nerror: ");
    say(record.path);
    say(" was cut short, or its disk failed, while it was being read. What was saved before is whole: --resume "
        "continues "
        "a study\n");
    ::_exit(kDataErrorCode);
  }
  std::signal(signal, SIG_DFL);  // the access is tried again, and ends the process as it would have
}

}  // namespace

void install_map_fault_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

void note_mapping(const void* begin, std::size_t size, const std::string& path) {
  const std::lock_guard lock(g_mutex);
  for (Record& record : g_records) {
    if (record.begin.load(std::memory_order_relaxed) != 0) continue;
    record.size = size;
    std::strncpy(record.path, path.c_str(), kPathBytes - 1);
    record.begin.store(reinterpret_cast<std::uintptr_t>(begin), std::memory_order_release);
    return;
  }
}

void forget_mapping(const void* begin) {
  const std::lock_guard lock(g_mutex);
  for (Record& record : g_records)
    if (record.begin.load(std::memory_order_relaxed) == reinterpret_cast<std::uintptr_t>(begin)) record.begin.store(0);
}

}  // namespace gridstep
