// gridstep-bench step: a training step, per operation, beside the floor that its bytes and multiply-adds set.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "apps/bench/bandwidth.h"
#include "apps/bench/bench.h"
#include "apps/bench/peak.h"
#include "kernels/conv2d/conv2d.h"

namespace gridstep::bench {
namespace {

struct Args {
  CommonArgs common;
  StepArgs step;
};

double elements(const Graph& graph, ValueId id) { return static_cast<double>(graph.spec(id).shape.elements()); }

// Of a convolution, nominal: padding included. 0 for what is none.
double flops_of(const Graph& graph, const Node& node) {
  const auto macs = [&](ValueId output, ValueId weight) {
    return 2.0 * elements(graph, output) * elements(graph, weight) / static_cast<double>(graph.spec(weight).shape[0]);
  };
  if (node.op == &conv2d_op()) return macs(node.outputs[0], node.inputs[1]);
  if (node.op == &conv2d_backward_data_op()) return macs(node.inputs[0], node.inputs[1]);
  if (node.op == &conv2d_backward_weight_op()) return macs(node.inputs[1], node.inputs[2]);
  return 0.0;
}

// What the node must at least read and write: every operand once.
double bytes_of(const Graph& graph, const Node& node, const MemoryPlan& plan) {
  double bytes = 0.0;
  for (const ValueId id : node.inputs) {
    if (id != kNoValue) bytes += static_cast<double>(graph.spec(id).bytes());
  }
  for (const ValueId id : node.outputs) {
    const bool stored =
        graph.value(id).storage != Storage::kActivation || plan.values[static_cast<std::size_t>(id)].size > 0;
    if (stored) bytes += static_cast<double>(graph.spec(id).bytes());
  }
  return bytes;
}

struct OpTime {
  std::string name;
  double ms = 0.0, flops = 0.0, bytes = 0.0;
  int launches = 0;
};

// Per node: its launches, timed by themselves. In the program's order, so that each finds the caches as in a step.
std::vector<OpTime> time_operations(Device& device, StepBench& bench, int replicas, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Program& program = bench.program();
  std::vector<OpTime> ops;
  std::vector<std::unique_ptr<Replay>> replays;
  const auto& launches = program.launches();
  for (std::size_t i = 0; i < launches.size();) {
    const int node = launches[i].node;
    std::vector<Launch> own;
    while (i < launches.size() && launches[i].node == node) own.push_back(launches[i++]);
    const int count = static_cast<int>(own.size());
    if (node >= 0) {
      const Node& n = program.graph().node(node);
      ops.push_back({n.name, 0.0, replicas * flops_of(program.graph(), n),
                     replicas * bytes_of(program.graph(), n, program.plan()), count});
    } else {
      const ParameterStore& store = bench.population().store();
      const double arrays = 3.0 + 2.0 * store.slots();  // weights read and written, gradients read, slots both
      ops.push_back({"optimizer", 0.0, 0.0, replicas * arrays * 4.0 * static_cast<double>(store.trained()), count});
    }
    replays.push_back(device.prepare(std::move(own), replicas, program.scratch_bytes(), false));
  }
  std::vector<std::vector<double>> times(ops.size());
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (times.front().size() < 9 || Clock::now() < end) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const auto start = Clock::now();
      replays[i]->run();
      device.synchronize();
      times[i].push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
  }
  for (std::size_t i = 0; i < ops.size(); ++i) ops[i].ms = median(times[i]);
  return ops;
}

std::string mib(double bytes) { return fmt::format("{:.1f} MiB", bytes / 1048576.0); }

void run(const Args& args) {
  const auto device = open_device(args.common);
  StepBench bench(*device, args.step);
  const int replicas = args.step.replicas;
  const Timing step = bench.time(args.common.timing);
  const auto ops = time_operations(*device, bench, replicas, args.common.timing.seconds);
  const double copy = copy_bandwidth(*device, args.common.timing);
  const bool on_cpu = device->kind() == DeviceKind::kCpu;
  const double peak = on_cpu ? fma_peak_gflops(device->threads()) : 0.0;

  double sum = 0.0, convolutions = 0.0, flops = 0.0, floor = 0.0;
  int launches = 0;
  for (const OpTime& op : ops) {
    sum += op.ms;
    launches += op.launches;
    flops += op.flops;
    if (op.flops > 0.0) convolutions += op.ms;
    floor += std::max(op.bytes / copy * 1e-6, on_cpu ? op.flops / peak * 1e-6 : 0.0);
  }
  Report report;
  report.title = "training step: " + text_of(args.step);
  report.facts = environment_facts(device->describe());
  report.facts.push_back(fmt::format("copy {:.1f} GB/s{}, both measured now", copy,
                                     on_cpu ? fmt::format(", float32 multiply-adds {:.0f} GFLOP/s", peak) : ""));
  report.table = {{{"operation", Align::kLeft}, {"ms"}, {"share"}, {"launches"}, {"GFLOP/s"}, {"GB/s"}}, {}, 5};
  Json rows = Json::array();
  const auto line = [&](const std::string& name, double ms, const std::string& count, double f, double b) {
    report.table.rows.push_back({name, fmt::format("{:.3f}", ms), fmt::format("{:.1f} %", 100.0 * ms / sum), count,
                                 f > 0.0 ? fmt::format("{:.0f}", f / ms * 1e-6) : "",
                                 b > 0.0 ? fmt::format("{:.1f}", b / ms * 1e-6) : ""});
  };
  for (const OpTime& op : ops) {
    line(op.name, op.ms, std::to_string(op.launches), op.flops, op.bytes);
    rows.push_back(
        {{"name", op.name}, {"ms", op.ms}, {"launches", op.launches}, {"flops", op.flops}, {"bytes", op.bytes}});
  }
  line("convolutions", convolutions, "", flops, 0.0);
  line("all else", sum - convolutions, "", 0.0, 0.0);
  line("sum, one by one", sum, std::to_string(launches), 0.0, 0.0);
  line("floor", floor, "", 0.0, 0.0);
  line("step", step.ms, "", 0.0, 0.0);
  report.remarks = {
      fmt::format("step: {:.3f} ms per network, +- {:.1f} %, {} samples; {:.3f} ms of processor time.",
                  step.ms / replicas, 100.0 * step.error, step.samples, step.cpu_ms / replicas),
      fmt::format("floor: for each operation the longer of its bytes at the copy rate{}; int8 and bf16 convolutions "
                  "can be faster.",
                  on_cpu ? " and its multiply-adds at the float32 rate" : ""),
      fmt::format("memory planned: {}; the step's arena {} per network ({} if none were shared).",
                  bench.planned().text(), mib(static_cast<double>(bench.program().plan().peak)),
                  mib(static_cast<double>(bench.program().plan().sum))),
      fmt::format(
          "memory measured: {}, {:+.1f} % of the plan, from before it to the end of the third step.",
          mib(static_cast<double>(bench.measured_bytes())),
          100.0 * (static_cast<double>(bench.measured_bytes()) / static_cast<double>(bench.planned().total()) - 1.0))};
  report.json = {{"benchmark", "step"},
                 {"environment", environment_json(device->describe())},
                 {"step", text_of(args.step)},
                 {"replicas", replicas},
                 {"step_ms", step.ms},
                 {"error", step.error},
                 {"cpu_ms", step.cpu_ms},
                 {"convolutions_ms", convolutions},
                 {"other_ms", sum - convolutions},
                 {"floor_ms", floor},
                 {"launches", launches},
                 {"copy_gb_per_s", copy},
                 {"peak_gflops", on_cpu ? Json(peak) : Json(nullptr)},
                 {"arena_bytes", bench.program().arena_bytes()},
                 {"planned_bytes", bench.planned().total()},
                 {"measured_bytes", bench.measured_bytes()},
                 {"operations", rows}};
  report.show(args.common.files);
}

}  // namespace

void add_step_command(CLI::App& app) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand("step", "A training step, per operation");
  add_step_options(*command, args->step);
  command->add_option("--replicas", args->step.replicas, "Networks trained together")->check(CLI::PositiveNumber);
  add_common_options(*command, args->common);
  command->callback([args] {
    resolve(args->step);
    run(*args);
  });
}

}  // namespace gridstep::bench
