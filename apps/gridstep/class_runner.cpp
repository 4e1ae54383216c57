#include "apps/gridstep/class_runner.h"

#include <algorithm>
#include <cmath>

#include "apps/gridstep/network_config.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace gridstep {
namespace {

constexpr std::int64_t kTrainSample = 1000;  // training images that are evaluated beside the validation set

std::string data_key(const Config& c) {
  std::string key;
  for (const char* name : {"data.name", "data.root", "data.size", "data.train_limit", "data.val_limit",
                           "data.synthetic_images", "data.synthetic_val_images"}) {
    key += c.text(name) + "\n";
  }
  return key;
}

LabelledDataset open_split(const Config& config, const std::string& split) {
  LabelledDataset dataset = open_labelled_dataset(labelled_data(config, split));
  log_info("data: {}: {}", split, dataset.description());
  return dataset;
}

class ClassTraining final : public TrainingTask {
 public:
  ClassTraining(ClassTask task, LabelledDataset& train_data, LabelledDataset& val_data, const ImageTable& table,
                std::int64_t steps, ClassEvaluator val, ClassEvaluator sample)
      : task_(std::move(task)),
        train_data_(train_data),
        val_data_(val_data),
        table_(table),
        steps_(steps),
        val_(std::move(val)),
        sample_(std::move(sample)) {}

  TrainingGraphs graphs() const override { return class_training_graphs(task_, table_); }
  std::int64_t batch() const override { return task_.batch; }
  std::int64_t steps_per_epoch() const override { return steps_; }
  std::string data_digest() const override { return train_data_.digest() + "-" + val_data_.digest(); }
  void require_unchanged_data() override {
    train_data_.require_unchanged();
    val_data_.require_unchanged();
  }

  std::vector<Measured> measure(const ParameterStore& store, Split split, const Phase& phase, bool) override {
    std::vector<Measured> measured;
    ClassEvaluator& evaluator = split == Split::kVal ? val_ : sample_;
    for (const ClassMetrics& m : evaluator.evaluate(store, phase)) {
      measured.push_back({{{"top1", m.top1}, {"top5", m.top5}, {"loss", m.loss}}, m.fault});
    }
    return measured;
  }

 private:
  ClassTask task_;
  LabelledDataset& train_data_;
  LabelledDataset& val_data_;
  ImageTable table_;
  std::int64_t steps_;
  ClassEvaluator val_, sample_;
};

// An epoch is one permutation of the images, its incomplete last batch dropped.
std::int64_t steps_of(const Config& c, const LabelledDataset& train) {
  const std::int64_t chosen = c.get_int("train.steps_per_epoch"), whole = train.count() / c.get_int("train.batch");
  if (whole < 1) {
    fail<DataError>("{} training images are less than one batch: train.batch = {}", train.count(),
                    c.get_int("train.batch"));
  }
  if (chosen > whole) {
    fail<ConfigError>(
        "train.steps_per_epoch = {}: an epoch passes once over the {} training images, in {} batches of {}; give that "
        "many at most, and more train.epochs",
        chosen, train.count(), whole, c.get_int("train.batch"));
  }
  return chosen > 0 ? chosen : whole;
}

// Shares of the classes, the largest first.
std::vector<double> class_shares(const LabelledDataset& dataset) {
  std::vector<double> shares(static_cast<std::size_t>(dataset.classes()));
  for (const std::int32_t label : dataset.labels()) shares[static_cast<std::size_t>(label)] += 1.0;
  for (double& share : shares) share /= static_cast<double>(dataset.count());
  std::sort(shares.rbegin(), shares.rend());
  return shares;
}

}  // namespace

ClassRunner::Data& ClassRunner::data(const Config& config) {
  const std::string key = data_key(config);
  if (data_ && data_->key == key) return *data_;
  data_.reset();
  // Validation first: what is missing there is said before the training images are prepared.
  LabelledDataset val = open_split(config, "val"), train = open_split(config, "train");
  if (train.class_names() != val.class_names()) {
    fail<DataError>("training and validation images have different classes: {} and {}", train.classes(), val.classes());
  }
  data_ = std::make_unique<Data>(Data{key, std::move(train), std::move(val), nullptr});
  data_->resident = std::make_unique<ResidentImages>(device(), data_->train);
  return *data_;
}

ClassEvaluator ClassRunner::evaluator(const Config& config, Split split) {
  const Data& d = data(config);
  const ClassTask task = class_task(config, d.train.classes());
  if (split == Split::kVal) return {task, d.val, d.val.count(), evaluation_budget()};
  return {task, d.train, kTrainSample, evaluation_budget()};
}

std::unique_ptr<TrainingTask> ClassRunner::make_task(const Config& config) {
  Data& d = data(config);
  return std::make_unique<ClassTraining>(class_task(config, d.train.classes()), d.train, d.val, d.resident->table(),
                                         steps_of(config, d.train), evaluator(config, Split::kVal),
                                         evaluator(config, Split::kTrain));
}

TrainingGraphs ClassRunner::training_graphs(const Config& config) {
  const Data& d = data(config);
  return class_training_graphs(class_task(config, d.train.classes()), d.resident->table());
}

std::string ClassRunner::size_warning(const Config& config) {
  const Data& d = data(config);
  return stem_warning(class_task(config, d.train.classes()), d.train.side());
}

EvaluationMemory ClassRunner::evaluation_memory(const Config& config, int replicas) {
  const Phase final = final_phase(class_task(config, data(config).train.classes()).options.quant);
  const bool warms_up = config.get_int("quant.float_epochs") > 0;
  EvaluationMemory memory;
  for (const Split split : {Split::kVal, Split::kTrain}) {
    const ClassEvaluator e = evaluator(config, split);
    const Bytes in_floats = warms_up ? e.planned_bytes(device().kind(), replicas, Phase{}) : 0;
    memory.held += std::max(in_floats, e.planned_bytes(device().kind(), replicas, final));
    for (const Phase& phase : warms_up ? std::vector{Phase{}, final} : std::vector{final})
      memory.per_thread = std::max(memory.per_thread, e.scratch_per_thread(device().kind(), phase));
  }
  return memory;
}

Floor ClassRunner::floor(const Config& config) {
  const std::vector<double> shares = class_shares(data(config).val);
  const std::string metric = metric_of(config);
  double value = 0.0;
  if (metric == "loss") {
    for (const double share : shares) value -= share > 0.0 ? share * std::log(share) : 0.0;
    return {"class frequencies", value};
  }
  const std::size_t first = std::min<std::size_t>(shares.size(), metric == "top5" ? 5 : 1);
  for (std::size_t i = 0; i < first; ++i) value += 100.0 * shares[i];
  return {"majority", value};
}

std::vector<Floor> ClassRunner::references(const Config& config) {
  const auto classes = static_cast<double>(data(config).val.classes());
  const std::string metric = metric_of(config);
  if (metric == "loss") return {{"chance", std::log(classes)}};
  return {{"chance", 100.0 * std::min(1.0, (metric == "top5" ? 5.0 : 1.0) / classes)}};
}

std::string ClassRunner::protocol(const Config& config) {
  const std::string metric = metric_of(config);
  const Data& d = data(config);
  const std::int64_t count = d.val.count();
  const std::string left_out = left_out_text(d.train.skipped(), static_cast<std::size_t>(d.train.count()),
                                             d.val.skipped(), static_cast<std::size_t>(count));
  if (metric == "loss") return fmt::format("cross-entropy, mean over {} validation images{}", count, left_out);
  return fmt::format("top-{} in percent, {} validation images uncropped{}", metric == "top5" ? 5 : 1, count, left_out);
}

}  // namespace gridstep
