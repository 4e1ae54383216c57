#include "engine/base/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace gridstep {
namespace {

volatile std::sig_atomic_t g_requested = 0;

extern "C" void on_signal(int) {
  if (g_requested != 0) ::_exit(130);
  g_requested = 1;
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() noexcept { return g_requested != 0; }

}  // namespace gridstep
