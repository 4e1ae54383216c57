// gridstep-bench population: networks trained per second against how many are trained together.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/bench/bench.h"

namespace gridstep::bench {
namespace {

struct Args {
  CommonArgs common;
  StepArgs step;
  std::vector<int> replicas = {1, 2, 4, 8, 16};
};

void run(Args args) {
  const auto device = open_device(args.common);
  Report report;
  report.title = "population: " + text_of(args.step);
  report.facts = environment_facts(device->describe());
  report.table = {
      {{"networks"}, {"step, ms"}, {"+-"}, {"ms per network"}, {"steps/s, all"}, {"against one"}, {"arena"}}, {}, 0};
  Json rows = Json::array();
  double solo = 0.0;
  for (const int replicas : args.replicas) {
    args.step.replicas = replicas;
    StepBench bench(*device, args.step);
    const Timing t = bench.time(args.common.timing);
    const double each = t.ms / replicas;
    if (solo == 0.0) solo = each;
    const double arena = static_cast<double>(bench.program().arena_bytes());
    report.table.rows.push_back({std::to_string(replicas), fmt::format("{:.3f}", t.ms),
                                 fmt::format("{:.1f} %", 100.0 * t.error), fmt::format("{:.3f}", each),
                                 fmt::format("{:.0f}", 1000.0 / each), fmt::format("{:.2f}x", solo / each),
                                 fmt::format("{:.1f} MiB", arena / 1048576.0)});
    rows.push_back({{"replicas", replicas}, {"step_ms", t.ms}, {"error", t.error}, {"arena_bytes", arena}});
  }
  report.json = {{"benchmark", "population"},
                 {"environment", environment_json(device->describe())},
                 {"step", text_of(args.step)},
                 {"rows", rows}};
  report.remarks = {"against one: throughput over that of the first row."};
  report.show(args.common.files);
}

}  // namespace

void add_population_command(CLI::App& app) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand("population", "Throughput against the number of networks trained together");
  add_step_options(*command, args->step);
  command->add_option("--replicas", args->replicas, "Populations to time, as in 1,4,16")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  add_common_options(*command, args->common);
  command->callback([args] {
    resolve(args->step);
    run(*args);
  });
}

}  // namespace gridstep::bench
