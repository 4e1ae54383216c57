#include "apps/gridstep/sr_runner.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/gridstep/commands.h"
#include "apps/gridstep/sr_training.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/device/cpu_info.h"
#include "engine/device/plugin.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {
namespace {

constexpr std::size_t kTrainSample = 3;  // training photos that are evaluated beside the validation set
constexpr Bytes kMaxEvalMemory = Bytes{1} << 30;
constexpr int kCpuReplicasPerThread = 2;
constexpr int kCudaReplicas = 100;

Bytes eval_memory(const Device& device) { return std::min(kMaxEvalMemory, device.available_bytes() / 4); }

std::string data_key(const Config& c) {
  std::string key;
  for (const char* name :
       {"data.name", "data.root", "data.train_limit", "data.val_limit", "data.border", "data.synthetic_images",
        "data.synthetic_size", "data.synthetic_val_images", "model.scale", "train.patch"}) {
    key += c.text(name) + "\n";
  }
  return key;
}

void report(const SrDataset& dataset) {
  log_info("data: {}", dataset.description());
  for (const SkippedFile& f : dataset.skipped()) log_warn("left out {}: {}", f.name, f.reason);
}

std::string mib(Bytes bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0); }

}  // namespace

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
  log_info("device: cpu, because CUDA cannot be used: {}", reason);
  return make_cpu_device(threads);
}

std::unique_ptr<CellRunner> make_runner(const Config& run_options) {
  return std::make_unique<SrRunner>(open_device(run_options));
}

SrRunner::Data& SrRunner::data(const Config& config) {
  const std::string key = data_key(config);
  if (data_ && data_->key == key) return *data_;
  data_.reset();
  SrDataset train = open_sr_dataset(sr_data(config, "train"));
  report(train);
  SrDataset val = open_sr_dataset(sr_data(config, "val"));
  report(val);
  ResidentPhotos resident(*device_, train, static_cast<int>(config.get_int("train.patch")));
  if (resident.left_out() > 0) {
    log_info("data: {} training photos are smaller than a patch of {} pixels and left out", resident.left_out(),
             config.get_int("train.patch"));
  }
  std::vector<SrPhoto> sample(
      train.photos().begin(),
      train.photos().begin() + std::min<std::ptrdiff_t>(kTrainSample, std::ssize(train.photos())));
  data_ = std::make_unique<Data>(Data{key, std::move(train), std::move(val), std::move(resident), std::move(sample)});
  return *data_;
}

Bytes SrRunner::program_bytes(const Config& config, int replicas) {
  const SrTask task = sr_task(config);
  const Graph graph = sr_training_graph(task, data(config).resident.table(), task.options.quant.enabled);
  Bytes parameters = 0;
  for (const ParameterInfo& p : graph.parameters()) parameters += align_up(p.shape.elements() * 4);
  constexpr int kArrays = 5;  // weights, gradients and at most three optimizer slots
  return (plan_program(graph, device_->kind()).per_replica + kArrays * parameters) * replicas;
}

int SrRunner::preferred_replicas(const Config& config) {
  int replicas = device_->kind() == DeviceKind::kCuda ? kCudaReplicas : kCpuReplicasPerThread * device_->threads();
  const Bytes one = program_bytes(config, 1), available = device_->available_bytes() / 2;
  replicas = static_cast<int>(std::clamp<Bytes>(available / std::max<Bytes>(one, 1), 1, replicas));
  return replicas;
}

std::vector<CellOutcome> SrRunner::run(std::span<const Cell> cells, const RunOptions& options) {
  const Config& config = cells.front().config;
  Data& d = data(config);
  const Bytes need = program_bytes(config, static_cast<int>(cells.size())), have = device_->available_bytes();
  if (need > have) {
    const Bytes fitting = have / std::max<Bytes>(program_bytes(config, 1), 1);
    fail<DeviceError>("{} networks at batch {} need {}, {} are available; {}", cells.size(),
                      config.get_int("train.batch"), mib(need), mib(have),
                      fitting >= 1 ? fmt::format("--set train.replicas={} fits", fitting)
                                   : "use a smaller train.batch or train.patch");
  }
  // Cells whose checkpoints stand at different steps (killed between two of them, or another population size) go on in
  // groups of their own.
  std::map<std::int64_t, std::vector<std::size_t>> by_step;
  for (std::size_t i = 0; i < cells.size(); ++i)
    by_step[options.resume ? checkpoint_step(options.folder, cells[i]) : 0].push_back(i);
  std::vector<CellOutcome> outcomes(cells.size());
  for (const auto& [step, members] : by_step) {
    std::vector<Cell> group;
    for (const std::size_t i : members) group.push_back(cells[i]);
    SrTraining training(*device_, group, options, d.resident, d.val.photos(), d.train_sample,
                        d.train.digest() + "-" + d.val.digest(), eval_memory(*device_));
    const auto results = training.run();
    for (std::size_t k = 0; k < members.size(); ++k) outcomes[members[k]] = results[k];
  }
  return outcomes;
}

Floor SrRunner::floor(const Config& config) {
  const SrEvaluator evaluator(sr_task(config), data(config).val.photos(), 0, eval_memory(*device_));
  const SrMetrics m = evaluator.bicubic(*device_);
  const std::string& metric = config.get_string("study.metric");
  if (metric == "psnr_rgb") return {"bicubic", m.psnr_rgb};
  if (metric == "ssim") return {"bicubic", m.ssim_y};
  if (metric == "loss") return {"bicubic", m.loss};
  return {"bicubic", m.psnr_y};
}

std::string SrRunner::protocol(const Config& config) {
  const std::string& metric = config.get_string("study.metric");
  const auto scale = config.get_int("model.scale");
  if (metric == "psnr_rgb") return fmt::format("PSNR-RGB, crop {} px, 8-bit output, mean over images", scale + 6);
  if (metric == "loss")
    return fmt::format("{} loss of the 8-bit output, mean over images", config.get_string("train.loss"));
  return fmt::format("{}, BT.601, crop {} px, 8-bit output, mean over images", metric == "ssim" ? "SSIM-Y" : "PSNR-Y",
                     scale);
}

nlohmann::json SrRunner::environment() {
  return {{"version", build_id()},
          {"commit", build_commit()},
          {"device", device_->describe()},
          {"processor", cpu_model()},
          {"instruction_set", cpu_instruction_set()},
          {"onednn", convolution_library()}};
}

std::string SrRunner::plan(const Config& config, int replicas) {
  const Data& d = data(config);
  const auto chosen = config.get_int("train.steps_per_epoch");
  const std::int64_t steps = chosen > 0 ? chosen : d.resident.steps_per_epoch(config.get_int("train.batch"));
  return fmt::format("{} steps per epoch, {} epochs\nmemory for {} networks: {} planned, {} available\n", steps,
                     config.get_int("train.epochs"), replicas, mib(program_bytes(config, replicas)),
                     mib(device_->available_bytes()));
}

}  // namespace gridstep
