#include "engine/base/log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <mutex>

namespace gridstep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPlainInterval = std::chrono::seconds(5);

struct State {
  std::mutex mutex;
  bool terminal = ::isatty(STDERR_FILENO) == 1;
  bool quiet = false;
  bool line_open = false;
  Clock::time_point last_plain{};
};

State& state() {
  static State s;
  return s;
}

void write_line(State& s, std::string_view text) {
  if (s.line_open) std::fputs("\r\x1b[K", stderr);
  s.line_open = false;
  fmt::print(stderr, "{}\n", text);
}

}  // namespace

bool log_is_terminal() { return state().terminal; }
void log_set_quiet(bool quiet) { state().quiet = quiet; }

void log_line(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.quiet) write_line(s, text);
}

void log_warning(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  write_line(s, fmt::format("warning: {}", text));
}

void log_progress(std::string_view text, bool final) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.quiet) return;
  if (s.terminal) {
    fmt::print(stderr, "\r\x1b[K{}", text);
    if (final) std::fputc('\n', stderr);
    s.line_open = !final;
    std::fflush(stderr);
    return;
  }
  const auto now = Clock::now();
  if (!final && now - s.last_plain < kPlainInterval) return;
  s.last_plain = now;
  fmt::print(stderr, "{}\n", text);
}

}  // namespace gridstep
