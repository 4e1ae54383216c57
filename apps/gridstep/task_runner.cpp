#include "apps/gridstep/task_runner.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "apps/gridstep/cell_checkpoints.h"
#include "apps/gridstep/class_runner.h"
#include "apps/gridstep/commands.h"
#include "apps/gridstep/sr_runner.h"
#include "apps/gridstep/training.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/device/cpu_info.h"
#include "engine/device/plugin.h"
#include "engine/study/optimizer_config.h"
#include "engine/study/training_phases.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {
namespace {

constexpr Bytes kMaxEvaluationMemory = Bytes{1} << 30;
constexpr int kCpuReplicasPerThread = 2;
constexpr int kCudaReplicas = 100;

std::string mib(Bytes bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0); }

int slots_of(const Config& config) {
  return slots_in_use(find_optimizer(config.get_string("optim.name")), optimizer_settings(config));
}

}  // namespace

std::string PlannedMemory::text() const {
  return fmt::format("{}: weights {}, gradients {}, optimizer {}, activations {}{}{}{}", mib(total()), mib(weights),
                     mib(gradients), mib(optimizer), mib(activations), scratch > 0 ? ", scratch " + mib(scratch) : "",
                     evaluation > 0 ? ", evaluation " + mib(evaluation) : "",
                     saving > 0 ? ", checkpoint " + mib(saving) : "");
}

PlannedMemory plan_training(const TrainingGraphs& graphs, std::span<const Phase> phases, const Device& device,
                            int replicas, int slots) {
  Bytes parameters = 0, arena = 0, scratch = 0;
  const auto count = [&](const Graph& graph) {
    const ProgramSize size = plan_program(graph, device.kind());
    arena = std::max(arena, size.per_replica);
    scratch = std::max(scratch, size.per_thread);
  };
  for (const Phase& phase : phases) {
    const Graph graph = graphs.train(phase);
    count(graph);
    if (phase.quantized) count(graphs.calibration(phase).graph);
    if (&phase != &phases.back()) continue;
    for (const ParameterInfo& p : graph.parameters()) parameters += align_up(p.shape.elements() * 4);
  }
  PlannedMemory memory;
  memory.weights = memory.gradients = parameters * replicas;
  memory.optimizer = memory.weights * slots;
  memory.activations = arena * replicas;
  memory.scratch = scratch * device.threads();
  return memory;
}

std::unique_ptr<Device> open_device(const Config& config) {
  const std::string& wanted = config.get_string("run.device");
  const auto threads = static_cast<int>(config.get_int("run.threads"));
  if (wanted == "cpu") return make_cpu_device(threads);
  const PluginStatus& plugin = cuda_plugin();
  std::string reason = plugin.reason;
  if (plugin.registry != nullptr) {
    try {
      return plugin.registry->make_device(0);
    } catch (const DeviceError& error) {
      reason = error.what();
    }
  }
  if (wanted == "cuda") fail<DeviceError>("--device cuda cannot be used: {}; `gridstep doctor` tells more", reason);
  static bool said = false;          // a benchmark opens many devices
  if (plugin.registry != nullptr) {  // there is a GPU, and it cannot be used now
    log_warn("the GPU is not used: {}", reason);
  } else if (!std::exchange(said, true)) {
    log_info("device: cpu, because CUDA cannot be used: {}; `gridstep doctor` tells more",
             reason.substr(0, reason.find(": ")));
  }
  return make_cpu_device(threads);
}

void check_device(const Device& device, const Config& config) {
  if (config.get_string("train.backward") != "bfloat16") return;
  if (device.kind() == DeviceKind::kCpu && !bf16_is_native()) {
    fail<DeviceError>(
        "train.backward = bfloat16 needs a GPU, or a processor with AVX-512 BF16 or AMX: {} has neither that {} "
        "can use, and would emulate it; leave it out",
        cpu_model(), convolution_library());
  }
}

std::unique_ptr<CellRunner> make_runner(const Config& config) {
  auto device = open_device(config);
  if (task_of(config) == Task::kSuperResolution) return std::make_unique<SrRunner>(std::move(device));
  return std::make_unique<ClassRunner>(std::move(device));
}

Bytes TaskRunner::evaluation_budget() const { return std::min(kMaxEvaluationMemory, device_->available_bytes() / 4); }

// Population::health: a pass over a few samples; weights before the last step and after it, on the host.
Bytes TaskRunner::health_bytes(const Config& config, Bytes weights, int replicas) {
  if (!config.get_bool("run.health")) return 0;
  Bytes most = 0;
  for (const Phase& phase : training_phases(config)) {
    if (!phase.quantized) continue;
    const Graph graph = training_graphs(config).health(phase).graph;
    const Bytes arena = plan_program(graph, device_->kind()).per_replica * replicas;
    most = std::max(most, arena + (device_->kind() == DeviceKind::kCpu ? 2 * weights : 0));
  }
  return most;
}

PlannedMemory TaskRunner::planned(const Config& config, int replicas, int slots) {
  PlannedMemory memory = plan_training(training_graphs(config), training_phases(config), *device_, replicas, slots);
  const EvaluationMemory evaluation = evaluation_memory(config, replicas);
  memory.evaluation = evaluation.held + health_bytes(config, memory.weights, replicas);
  memory.scratch = std::max(memory.scratch, evaluation.per_thread * device_->threads());
  // Of one network: an array as it lies in memory, and all of them as they lie in the file.
  if (device_->kind() == DeviceKind::kCpu) memory.saving = memory.weights / replicas * (slots + 2);
  return memory;
}

PlannedMemory TaskRunner::planned(std::span<const Cell> cells) {
  int slots = 0;
  for (const Cell& cell : cells) slots = std::max(slots, slots_of(cell.config));
  return planned(cells.front().config, static_cast<int>(cells.size()), slots);
}

int TaskRunner::preferred_replicas(const Config& config) {
  const int wanted = device_->kind() == DeviceKind::kCuda ? kCudaReplicas : kCpuReplicasPerThread * device_->threads();
  // Half of the memory: the rest is for evaluations.
  const Bytes one = plan_training(training_graphs(config), training_phases(config), *device_, 1, kMaxSlots).total();
  return static_cast<int>(std::clamp<Bytes>(device_->available_bytes() / 2 / std::max<Bytes>(one, 1), 1, wanted));
}

std::vector<CellOutcome> TaskRunner::run(std::span<const Cell> cells, const RunOptions& options) {
  const Config& config = cells.front().config;
  const PlannedMemory need = planned(cells);
  const Bytes have = device_->available_bytes();
  log_info("memory for {} network{}: {}; {} available", cells.size(), cells.size() == 1 ? "" : "s", need.text(),
           mib(have));
  const std::string unsuited = size_warning(config);
  if (!unsuited.empty() && unsuited != warned_) log_warn("{}; planned as it is: {}", unsuited, mib(need.total()));
  warned_ = unsuited;
  if (need.total() > have) {
    const Bytes fitting = have / std::max<Bytes>(planned(cells.first(1)).total(), 1);
    fail<DeviceError>("{} at batch {} needs {}, {} are available; {}",
                      cells.size() == 1 ? "1 network" : fmt::format("a population of {} networks", cells.size()),
                      config.get_int("train.batch"), mib(need.total()), mib(have),
                      fitting >= 1 ? fmt::format("--set train.replicas={} fits", fitting)
                                   : fmt::format("use a smaller {}", size_keys()));
  }
  // Cells whose checkpoints stand at different steps (killed between two of them, or another population size) go on in
  // groups of their own.
  std::map<std::int64_t, std::vector<std::size_t>> by_step;
  for (std::size_t i = 0; i < cells.size(); ++i)
    by_step[options.resume ? checkpoint_step(cell_folder(options.folder, cells[i])) : 0].push_back(i);
  std::vector<CellOutcome> outcomes(cells.size());
  for (const auto& [step, members] : by_step) {
    std::vector<Cell> group;
    for (const std::size_t i : members) group.push_back(cells[i]);
    const auto results = Training(*device_, group, options, make_task(config)).run();
    for (std::size_t k = 0; k < members.size(); ++k) outcomes[members[k]] = results[k];
  }
  return outcomes;
}

nlohmann::json TaskRunner::environment() {
  return {{"version", build_id()},
          {"commit", build_commit()},
          {"device", device_->describe()},
          {"processor", cpu_model()},
          {"instruction_set", cpu_instruction_set()},
          {"onednn", convolution_library()}};
}

std::string TaskRunner::plan(std::span<const Cell> cells) {
  const Config& config = cells.front().config;
  const fs::path start = config.get_string("train.init");
  if (!start.empty() && !fs::is_regular_file(start))
    fail<DataError>("train.init: {} {}; it names a safetensors file of weights", start.string(),
                    fs::exists(start) ? "is no file" : "is not there");
  const std::string unsuited = size_warning(config);
  const std::string warning = unsuited.empty() ? "" : "warning: " + unsuited + "\n";
  return fmt::format("{} steps per epoch, {} epochs\nmemory: {}; {} available\n{}",
                     make_task(config)->steps_per_epoch(), config.get_int("train.epochs"), planned(cells).text(),
                     mib(device_->available_bytes()), warning);
}

}  // namespace gridstep
