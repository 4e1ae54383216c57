// gridstep-bench: what a training step costs, per operation, on this machine.
//
//   gridstep-bench step [--model espcn] [--scale 3] [--patch 17] [--batch 16] [--bits 8,8] [--fuse all|none]
//   [--arithmetic codes|float]
//                       [--replicas 1] [--threads 0] [--seconds 2] [--json FILE]
//   gridstep-bench peak [--threads 0]
//
// Times are medians. `step` runs whole steps for the total, then every launch by itself (all threads, replicas
// included) for its share; a launch's GFLOP/s count nominal multiply-accumulates, padding included. `peak` is a loop of
// independent fused multiply-adds.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/bench/peak.h"
#include "apps/gridstep/resident_photos.h"
#include "apps/gridstep/sr_task.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/device/cpu_info.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

struct BenchArgs {
  std::string model = "espcn", bits = "8,8", fuse = "all", arithmetic = "codes", optimizer = "adam", json;
  int scale = 3, patch = 17, batch = 16, replicas = 1, threads = 0;
  double seconds = 2.0;
};

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0.0 : v[v.size() / 2];
}

// Median time of f in ms, repeated for `seconds`, at least five times.
template <class F>
double time_ms(double seconds, F&& f) {
  f();
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (times.size() < 5 || Clock::now() < end) {
    const auto t = Clock::now();
    f();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - t).count());
  }
  return median(times);
}

Config config_of(const BenchArgs& args) {
  Config c;
  int w = 8, a = 8;
  if (std::sscanf(args.bits.c_str(), "%d,%d", &w, &a) != 2) fail<ConfigError>("--bits {}: wanted W,A", args.bits);
  c.set("model.name", args.model, "--model");
  c.set("model.scale", std::int64_t{args.scale}, "--scale");
  c.set("quant.weight_bits", std::int64_t{w}, "--bits");
  c.set("quant.activation_bits", std::int64_t{a}, "--bits");
  c.set("train.patch", std::int64_t{args.patch}, "--patch");
  c.set("train.batch", std::int64_t{args.batch}, "--batch");
  c.set("run.fuse", args.fuse, "--fuse");
  c.set("quant.arithmetic", args.arithmetic, "--arithmetic");
  c.set("data.synthetic_size", std::int64_t{std::max(192, args.patch * args.scale)}, "bench");
  c.set("data.synthetic_images", std::int64_t{4}, "bench");
  return c;
}

// Multiply-accumulates of a node; 0 for what is not a convolution.
double flops(const Graph& graph, const Node& node) {
  const auto shape = [&](ValueId id) { return graph.spec(id).shape; };
  if (node.op == &conv2d_op())
    return 2.0 * static_cast<double>(shape(node.outputs[0]).elements() * shape(node.inputs[1]).elements() /
                                     shape(node.inputs[1])[0]);
  if (node.op == &conv2d_backward_data_op()) {
    return 2.0 * static_cast<double>(shape(node.inputs[0]).elements() * shape(node.inputs[1]).elements() /
                                     shape(node.inputs[1])[0]);
  }
  if (node.op == &conv2d_backward_weight_op()) {
    return 2.0 * static_cast<double>(shape(node.inputs[1]).elements() * shape(node.inputs[2]).elements() /
                                     shape(node.inputs[2])[0]);
  }
  return 0.0;
}

struct OpTime {
  std::string name;
  double ms = 0.0, flops = 0.0;
  int launches = 0;
};

// Per node: the sum over its launches, each timed by itself in the program's order.
std::vector<OpTime> time_launches(Device& device, const Program& program, int replicas, double seconds) {
  std::vector<std::vector<double>> times(program.launches().size());
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (times.front().size() < 5 || Clock::now() < end) {
    for (std::size_t i = 0; i < times.size(); ++i) {
      const auto t = Clock::now();
      device.run({program.launches()[i]}, replicas, program.scratch_bytes());
      device.synchronize();
      times[i].push_back(std::chrono::duration<double, std::milli>(Clock::now() - t).count());
    }
  }
  std::vector<OpTime> ops;
  int last = -2;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const int node = program.launches()[i].node;
    if (node != last) {
      const bool is_node = node >= 0;
      ops.push_back({is_node ? program.graph().node(node).name : "optimizer", 0.0,
                     is_node ? replicas * flops(program.graph(), program.graph().node(node)) : 0.0, 0});
    }
    last = node;
    ops.back().ms += median(times[i]);
    ++ops.back().launches;
  }
  return ops;
}

void run_step(const BenchArgs& args) {
  const Config config = config_of(args);
  const SrTask task = sr_task(config);
  const auto device = make_cpu_device(args.threads);
  const SrDataset data = open_sr_dataset(sr_data(config, "train"));
  const ResidentPhotos photos(*device, data, args.patch);
  std::vector<ReplicaSettings> replicas;
  for (int r = 0; r < args.replicas; ++r) {
    const int rule = find_optimizer(args.optimizer);
    replicas.push_back({static_cast<std::uint64_t>(r), rule, resolve_settings(rule), {}, 1e-4});
  }
  TrainingGraphs graphs;
  graphs.train = [&](bool quantized) { return sr_training_graph(task, photos.table(), quantized); };
  if (task.options.quant.enabled) graphs.calibration = [&] { return sr_calibration_graph(task, photos.table()); };
  Population population(*device, graphs, replicas,
                        {.steps_per_epoch = 1'000'000,
                         .epochs = 1000,
                         .float_epochs = 0,
                         .batch = static_cast<std::uint32_t>(args.batch)});
  population.initialise();
  for (int i = 0; i < 3; ++i) population.step();
  const double step_ms = time_ms(args.seconds, [&] { population.step(); });
  const Program& program = *population.program();
  const auto ops = time_launches(*device, program, args.replicas, args.seconds);

  double sum = 0.0, conv_ms = 0.0, conv_flops = 0.0;
  for (const OpTime& op : ops) {
    sum += op.ms;
    if (op.flops > 0.0) {
      conv_ms += op.ms;
      conv_flops += op.flops;
    }
  }
  const double peak = fma_peak_gflops(device->threads());
  fmt::print("{} x{}, W,A {}, batch {}, patch {}, fuse {}, arithmetic {}, {} network{}\n{}, {}\n", args.model,
             args.scale, args.bits, args.batch, args.patch, args.fuse, args.arithmetic, args.replicas,
             args.replicas == 1 ? "" : "s", device->describe(), convolution_library());
  fmt::print("{:<28} {:>9} {:>7} {:>9} {:>9} {:>8}\n", "operation", "ms", "share", "launches", "GFLOP/s", "of peak");
  for (const OpTime& op : ops) {
    const double rate = op.flops / op.ms * 1e-6;
    fmt::print("{:<28} {:>9.3f} {:>6.1f}% {:>9} {:>9} {:>8}\n", op.name, op.ms, 100.0 * op.ms / sum, op.launches,
               op.flops > 0.0 ? fmt::format("{:.0f}", rate) : "",
               op.flops > 0.0 ? fmt::format("{:.0f}%", 100.0 * rate / peak) : "");
  }
  fmt::print("{:<28} {:>9.3f}          all launches, one by one\n", "sum", sum);
  fmt::print("{:<28} {:>9.3f} {:>6.1f}% {:>9} {:>9.0f} {:>7.0f}%\n", "  convolutions", conv_ms, 100.0 * conv_ms / sum,
             "", conv_flops / conv_ms * 1e-6, 100.0 * conv_flops / conv_ms * 1e-6 / peak);
  fmt::print("{:<28} {:>9.3f} {:>6.1f}%\n", "  all else", sum - conv_ms, 100.0 * (sum - conv_ms) / sum);
  fmt::print("{:<28} {:>9.3f}          {:.3f} per network; peak {:.0f} GFLOP/s\n", "step", step_ms,
             step_ms / args.replicas, peak);
  if (args.json.empty()) return;
  Json result{{"model", args.model},
              {"scale", args.scale},
              {"bits", args.bits},
              {"batch", args.batch},
              {"patch", args.patch},
              {"fuse", args.fuse},
              {"arithmetic", args.arithmetic},
              {"replicas", args.replicas},
              {"device", device->describe()},
              {"step_ms", step_ms},
              {"convolution_ms", conv_ms},
              {"other_ms", sum - conv_ms},
              {"peak_gflops", peak},
              {"operations", Json::array()}};
  for (const OpTime& op : ops)
    result["operations"].push_back({{"name", op.name}, {"ms", op.ms}, {"launches", op.launches}, {"flops", op.flops}});
  write_file_atomic(args.json, result.dump(2) + "\n");
}

int run(int argc, char** argv) {
  CLI::App app("Times of training steps on this machine", "gridstep-bench");
  app.require_subcommand(1);
  BenchArgs args;
  CLI::App* step = app.add_subcommand("step", "A training step, per operation");
  step->add_option("--model", args.model);
  step->add_option("--scale", args.scale);
  step->add_option("--patch", args.patch);
  step->add_option("--batch", args.batch);
  step->add_option("--bits", args.bits, "W,A (32,32: float)");
  step->add_option("--optimizer", args.optimizer);
  step->add_option("--fuse", args.fuse)->check(CLI::IsMember({"all", "none"}));
  step->add_option("--arithmetic", args.arithmetic)->check(CLI::IsMember({"codes", "float"}));
  step->add_option("--replicas", args.replicas)->check(CLI::PositiveNumber);
  step->add_option("--threads", args.threads)->check(CLI::NonNegativeNumber);
  step->add_option("--seconds", args.seconds, "Time to spend on each of the two measurements")
      ->check(CLI::PositiveNumber);
  step->add_option("--json", args.json);
  step->callback([&] { run_step(args); });
  CLI::App* peak = app.add_subcommand("peak", "The processor's float32 multiply-add rate");
  peak->add_option("--threads", args.threads)->check(CLI::NonNegativeNumber);
  peak->callback([&] {
    const int threads = args.threads > 0 ? args.threads : cpu_usable_threads();
    fmt::print("{}, {} threads: {:.0f} GFLOP/s\n", cpu_model(), threads, fma_peak_gflops(threads));
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}

}  // namespace
}  // namespace gridstep

int main(int argc, char** argv) {
  try {
    return gridstep::run(argc, argv);
  } catch (const gridstep::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return e.exit_code();
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
