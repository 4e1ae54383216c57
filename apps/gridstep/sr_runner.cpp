#include "apps/gridstep/sr_runner.h"

#include <algorithm>

#include "apps/gridstep/network_config.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace gridstep {
namespace {

constexpr std::size_t kTrainSample = 3;  // training photos that are evaluated beside the validation set

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

class SrTraining final : public TrainingTask {
 public:
  SrTraining(SrTask task, SrDataset& train_data, SrDataset& val_data, const ResidentPhotos& photos, std::int64_t steps,
             SrEvaluator val, SrEvaluator sample)
      : task_(std::move(task)),
        train_data_(train_data),
        val_data_(val_data),
        table_(photos.table()),
        steps_(steps),
        val_(std::move(val)),
        sample_(std::move(sample)) {}

  TrainingGraphs graphs() const override { return sr_training_graphs(task_, table_); }
  std::int64_t batch() const override { return task_.batch; }
  std::int64_t steps_per_epoch() const override { return steps_; }
  std::string data_digest() const override { return train_data_.digest() + "-" + val_data_.digest(); }
  void require_unchanged_data() override {
    train_data_.require_unchanged();
    val_data_.require_unchanged();
  }

  std::vector<Measured> measure(const ParameterStore& store, Split split, const Phase& phase,
                                bool everything) override {
    std::vector<Measured> measured;
    SrEvaluator& evaluator = split == Split::kVal ? val_ : sample_;
    for (const SrMetrics& m : evaluator.evaluate(store, phase, everything)) {
      measured.push_back({{{"psnr_y", m.psnr_y}, {"psnr_rgb", m.psnr_rgb}, {"loss", m.loss}}, m.fault});
      if (everything) measured.back().metrics["ssim"] = m.ssim_y;
    }
    return measured;
  }

 private:
  SrTask task_;
  SrDataset& train_data_;
  SrDataset& val_data_;
  PhotoTable table_;
  std::int64_t steps_;
  SrEvaluator val_, sample_;
};

std::int64_t steps_of(const Config& c, const ResidentPhotos& photos) {
  const std::int64_t chosen = c.get_int("train.steps_per_epoch");
  return chosen > 0 ? chosen : photos.steps_per_epoch(c.get_int("train.batch"));
}

// The first photos that can be measured. Throws DataError where none can.
std::vector<SrPhoto> training_sample(const SrTask& task, const std::vector<SrPhoto>& photos) {
  std::vector<SrPhoto> sample;
  for (const SrPhoto& photo : photos) {
    if (sample.size() < kTrainSample && is_measurable(task, photo)) sample.push_back(photo);
  }
  if (sample.empty()) require_measurable(task, photos);
  return sample;
}

}  // namespace

SrRunner::Data& SrRunner::data(const Config& config) {
  const std::string key = data_key(config);
  if (data_ && data_->key == key) return *data_;
  data_.reset();
  // Validation first: what is wrong there is said before the training photos are prepared.
  SrDataset val = open_sr_dataset(sr_data(config, "val"));
  report(val);
  require_measurable(sr_task(config), val.photos());
  SrDataset train = open_sr_dataset(sr_data(config, "train"));
  report(train);
  ResidentPhotos resident(device(), train, static_cast<int>(config.get_int("train.patch")));
  if (resident.left_out() > 0) {
    log_info("data: {} of the training photos left out: smaller than a patch of {} pixels", resident.left_out(),
             config.get_int("train.patch"));
  }
  std::vector<SrPhoto> sample = training_sample(sr_task(config), train.photos());
  data_ = std::make_unique<Data>(Data{key, std::move(train), std::move(val), std::move(resident), std::move(sample)});
  return *data_;
}

SrEvaluator SrRunner::evaluator(const Config& config, const std::vector<SrPhoto>& photos) {
  return {sr_task(config), photos, static_cast<int>(config.get_int("eval.tile")), evaluation_budget()};
}

std::unique_ptr<TrainingTask> SrRunner::make_task(const Config& config) {
  Data& d = data(config);
  return std::make_unique<SrTraining>(sr_task(config), d.train, d.val, d.resident, steps_of(config, d.resident),
                                      evaluator(config, d.val.photos()), evaluator(config, d.train_sample));
}

TrainingGraphs SrRunner::training_graphs(const Config& config) {
  return sr_training_graphs(sr_task(config), data(config).resident.table());
}

EvaluationMemory SrRunner::evaluation_memory(const Config& config, int replicas) {
  const Data& d = data(config);
  const Phase final = final_phase(sr_task(config).options.quant);
  const bool warms_up = config.get_int("quant.float_epochs") > 0;
  EvaluationMemory memory;
  for (const std::vector<SrPhoto>* photos : {&d.val.photos(), &d.train_sample}) {
    const SrEvaluator e = evaluator(config, *photos);
    const Bytes in_floats = warms_up ? e.planned_bytes(device().kind(), replicas, Phase{}) : 0;
    memory.held += std::max(in_floats, e.planned_bytes(device().kind(), replicas, final));
    for (const Phase& phase : warms_up ? std::vector{Phase{}, final} : std::vector{final})
      memory.per_thread = std::max(memory.per_thread, e.scratch_per_thread(device().kind(), phase));
  }
  return memory;
}

Floor SrRunner::floor(const Config& config) {
  const SrMetrics m = evaluator(config, data(config).val.photos()).bicubic(device());
  const std::string metric = metric_of(config);
  if (metric == "psnr_rgb") return {"bicubic", m.psnr_rgb};
  if (metric == "ssim") return {"bicubic", m.ssim_y};
  if (metric == "loss") return {"bicubic", m.loss};
  return {"bicubic", m.psnr_y};
}

std::string SrRunner::protocol(const Config& config) {
  const std::string metric = metric_of(config);
  const auto scale = config.get_int("model.scale");
  const Data& d = data(config);
  const std::string over = "mean over images" + left_out_text(d.train.skipped(), d.train.photos().size(),
                                                              d.val.skipped(), d.val.photos().size());
  if (metric == "psnr_rgb") return fmt::format("PSNR-RGB, crop {} px, 8-bit output, {}", scale + 6, over);
  if (metric == "loss") return fmt::format("{} loss of the 8-bit output, {}", config.get_string("train.loss"), over);
  return fmt::format("{}, BT.601, crop {} px, 8-bit output, {}", metric == "ssim" ? "SSIM-Y" : "PSNR-Y", scale, over);
}

}  // namespace gridstep
