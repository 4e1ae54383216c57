// gridstep-bench: what kernels and training steps cost on this machine. Every subcommand prints a table, and writes it
// as JSON and Markdown on request. Times are medians; each is repeated until its 95 % interval is narrow (timing.h).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>

#include "apps/bench/bench.h"
#include "apps/bench/peak.h"
#include "engine/base/error.h"
#include "engine/device/cpu_info.h"

namespace gridstep::bench {

void add_peak_command(CLI::App& app) {
  auto threads = std::make_shared<int>(0);
  CLI::App* command = app.add_subcommand("peak", "The processor's float32 multiply-add rate, in registers");
  command->add_option("--threads", *threads, "CPU threads; 0: all")->check(CLI::NonNegativeNumber);
  command->callback([threads] {
    const int count = *threads > 0 ? *threads : cpu_usable_threads();
    fmt::print("{}, {} threads: {:.0f} GFLOP/s\n", cpu_model(), count, fma_peak_gflops(count));
  });
}

namespace {

int run(int argc, char** argv) {
  set_command_line(argc, argv);
  CLI::App app("Times of kernels and training steps on this machine", "gridstep-bench");
  app.require_subcommand(1);
  add_kernels_command(app);
  add_step_command(app);
  add_population_command(app);
  add_compare_command(app);
  add_peak_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}

}  // namespace
}  // namespace gridstep::bench

int main(int argc, char** argv) {
  try {
    return gridstep::bench::run(argc, argv);
  } catch (const gridstep::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return e.exit_code();
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
