#include <CLI/CLI.hpp>

#include "apps/bench/bench.h"
#include "apps/bench/resident.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "models/model.h"

namespace gridstep::bench {

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
  command.add_option("--scale", args.scale, "espcn: enlargement: 2, 3 or 4 (default 3)")->check(CLI::Range(2, 4));
  command.add_option("--patch", args.patch, "espcn: side of a training patch, low-resolution pixels (default 17)")
      ->check(CLI::Range(1, 4096));
  command.add_option("--size", args.size, "resnet: side of the images (default: resnet20 32, others 224)")
      ->check(CLI::Range(8, 4096));
  command.add_option("--batch", args.batch, "Samples per step")->capture_default_str();
  command.add_option("--bits", args.bits, "Bits of weights and activations (32,32: float)")->capture_default_str();
  command.add_option("--optimizer", args.optimizer, "Optimizer")->capture_default_str();
  command.add_option("--fuse", args.fuse, "Graph fusion")->check(CLI::IsMember({"all", "none"}));
  command.add_option("--arithmetic", args.arithmetic, "Integer codes, or plain fake-quantized floats")
      ->check(CLI::IsMember({"codes", "float"}));
  command.add_option("--backward", args.backward, "What the gradients of convolutions are multiplied in")
      ->check(CLI::IsMember({"float32", "bfloat16"}));
  command.add_option("--capture", args.capture, "On CUDA: one CUDA graph, or launch by launch")
      ->check(CLI::IsMember({"auto", "off"}));
}

bool is_classifier(const StepArgs& args) { return find_model(args.model).task == "classification"; }

void resolve(StepArgs& args) {
  if (is_classifier(args)) {
    if (args.patch != 0 || args.scale != 0)
      fail<ConfigError>("--patch and --scale: only super-resolution uses them; --size is the side of {}'s images",
                        args.model);
    if (args.size == 0) args.size = args.model == "resnet20" ? 32 : 224;
    return;
  }
  if (args.size != 0) fail<ConfigError>("--size: only classifiers use it; {} has --patch", args.model);
  if (args.patch == 0) args.patch = 17;
  if (args.scale == 0) args.scale = 3;
}

std::string text_of(const StepArgs& args) {
  const std::string shape = is_classifier(args) ? fmt::format("{}, W,A {}, batch {}, images of {}", args.model,
                                                              args.bits, args.batch, args.size)
                                                : fmt::format("{} x{}, W,A {}, batch {}, patch {}", args.model,
                                                              args.scale, args.bits, args.batch, args.patch);
  return fmt::format("{}, {}, fuse {}, arithmetic {}, {}{} network{}", shape, args.optimizer, args.fuse,
                     args.arithmetic, args.backward == "float32" ? "" : "backward " + args.backward + ", ",
                     args.replicas, args.replicas == 1 ? "" : "s");
}

StepBench::StepBench(Device& device, const StepArgs& args) : device_(device), work_(make_work(device, args)) {
  const MemoryGrowth growth(device_);
  const Phase phase = work_phase(args);
  std::vector<ReplicaSettings> replicas;
  replicas.reserve(static_cast<std::size_t>(args.replicas));
  const int rule = find_optimizer(args.optimizer);
  for (int r = 0; r < args.replicas; ++r) {
    replicas.push_back({static_cast<std::uint64_t>(r), rule, resolve_settings(rule), {}, 1e-4});
  }
  population_ = std::make_unique<Population>(device_, work_, replicas,
                                             PopulationOptions{.steps_per_epoch = 1'000'000,
                                                               .epochs = 1000,
                                                               .phases = {phase},
                                                               .batch = static_cast<std::uint32_t>(args.batch),
                                                               .capture = args.capture == "auto"});
  planned_ = plan_training(work_, {&phase, 1}, device_, args.replicas, slots_in_use(rule, replicas.front().optimizer));
  population_->initialise();
  for (int i = 0; i < 3; ++i) population_->step();  // the first calibrates
  device_.synchronize();
  measured_ = growth.so_far();
}

Timing StepBench::time(const TimingOptions& options) {
  return time_runs(options, [this](int n) {
    for (int i = 0; i < n; ++i) population_->step();
    device_.synchronize();
  });
}

}  // namespace gridstep::bench
