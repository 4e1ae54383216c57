#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/bench/bench.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"

namespace gridstep::bench {
namespace {

Config config_of(const StepArgs& args) {
  Config c;
  int w = 8, a = 8;
  char rest = 0;
  if (std::sscanf(args.bits.c_str(), "%d,%d%c", &w, &a, &rest) != 2) {
    fail<ConfigError>("--bits {}: wanted W,A such as 8,8 (32,32: float)", args.bits);
  }
  c.set("model.name", args.model, "--model");
  c.set("model.scale", std::int64_t{args.scale}, "--scale");
  c.set("quant.weight_bits", std::int64_t{w}, "--bits");
  c.set("quant.activation_bits", std::int64_t{a}, "--bits");
  c.set("optim.name", args.optimizer, "--optimizer");
  c.set("train.patch", std::int64_t{args.patch}, "--patch");
  c.set("train.batch", std::int64_t{args.batch}, "--batch");
  c.set("run.fuse", args.fuse, "--fuse");
  c.set("quant.arithmetic", args.arithmetic, "--arithmetic");
  c.set("data.synthetic_size", std::int64_t{std::max(192, args.patch * args.scale)}, "bench");
  c.set("data.synthetic_images", std::int64_t{4}, "bench");
  return c;
}

}  // namespace

void add_common_options(CLI::App& command, CommonArgs& args) {
  command.add_option("--device", args.device, "cpu, cuda, or auto: CUDA where it can be used")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  command.add_option("--threads", args.threads, "CPU threads; 0: all")->check(CLI::NonNegativeNumber);
  command.add_option("--seconds", args.timing.seconds, "The most to spend on one measurement")
      ->check(CLI::PositiveNumber);
  command.add_option("--error", args.timing.wanted, "Stop once half the 95 % interval is this share of the median")
      ->check(CLI::PositiveNumber);
  command.add_option("--json", args.files.json, "Write the figures to this file")->type_name("FILE");
  command.add_option("--markdown", args.files.markdown, "Write the table to this file")->type_name("FILE");
}

std::unique_ptr<Device> open_device(const CommonArgs& args) {
  Config config;
  config.set("run.device", args.device, "--device");
  config.set("run.threads", std::int64_t{args.threads}, "--threads");
  return gridstep::open_device(config);
}

void add_step_options(CLI::App& command, StepArgs& args) {
  command.add_option("--model", args.model, "Model")->capture_default_str();
  command.add_option("--scale", args.scale, "Enlargement: 2, 3 or 4")->capture_default_str();
  command.add_option("--patch", args.patch, "Side of a training patch, low-resolution pixels")->capture_default_str();
  command.add_option("--batch", args.batch, "Samples per step")->capture_default_str();
  command.add_option("--bits", args.bits, "Bits of weights and activations (32,32: float)")->capture_default_str();
  command.add_option("--optimizer", args.optimizer, "Optimizer")->capture_default_str();
  command.add_option("--fuse", args.fuse, "Graph fusion")->check(CLI::IsMember({"all", "none"}));
  command.add_option("--arithmetic", args.arithmetic, "Integer codes, or plain fake-quantized floats")
      ->check(CLI::IsMember({"codes", "float"}));
  command.add_option("--capture", args.capture, "On CUDA: one CUDA graph, or launch by launch")
      ->check(CLI::IsMember({"auto", "off"}));
}

std::string text_of(const StepArgs& args) {
  return fmt::format("{} x{}, W,A {}, batch {}, patch {}, {}, fuse {}, arithmetic {}, {} network{}", args.model,
                     args.scale, args.bits, args.batch, args.patch, args.optimizer, args.fuse, args.arithmetic,
                     args.replicas, args.replicas == 1 ? "" : "s");
}

StepBench::StepBench(Device& device, const StepArgs& args)
    : device_(device),
      task_(sr_task(config_of(args))),
      data_(open_sr_dataset(sr_data(config_of(args), "train"))),
      photos_(device, data_, args.patch) {
  std::vector<ReplicaSettings> replicas;
  const int rule = find_optimizer(args.optimizer);
  for (int r = 0; r < args.replicas; ++r) {
    replicas.push_back({static_cast<std::uint64_t>(r), rule, resolve_settings(rule), {}, 1e-4});
  }
  TrainingGraphs graphs;
  graphs.train = [this](bool quantized) { return sr_training_graph(task_, photos_.table(), quantized); };
  if (task_.options.quant.enabled) graphs.calibration = [this] { return sr_calibration_graph(task_, photos_.table()); };
  population_ = std::make_unique<Population>(device_, graphs, replicas,
                                             PopulationOptions{.steps_per_epoch = 1'000'000,
                                                               .epochs = 1000,
                                                               .batch = static_cast<std::uint32_t>(args.batch),
                                                               .capture = args.capture == "auto"});
  population_->initialise();
  population_->step();  // calibrates
}

Timing StepBench::time(const TimingOptions& options) {
  return time_runs(options, [this](int n) {
    for (int i = 0; i < n; ++i) population_->step();
    device_.synchronize();
  });
}

}  // namespace gridstep::bench
