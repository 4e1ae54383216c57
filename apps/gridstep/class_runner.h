// Trains populations of classifiers for the study layer.
#pragma once

#include <memory>
#include <string>

#include "apps/gridstep/class_evaluator.h"
#include "apps/gridstep/resident_images.h"
#include "apps/gridstep/task_runner.h"

namespace gridstep {

class ClassRunner final : public TaskRunner {
 public:
  using TaskRunner::TaskRunner;

  // What is right without looking at the image: always the class (the five classes) that validation has most of. Its
  // loss: the entropy of the classes.
  Floor floor(const Config& config) override;
  std::vector<Floor> references(const Config& config) override;  // chance
  std::string protocol(const Config& config) override;

 protected:
  std::unique_ptr<TrainingTask> make_task(const Config& config) override;
  TrainingGraphs training_graphs(const Config& config) override;
  EvaluationMemory evaluation_memory(const Config& config, int replicas) override;
  std::string size_warning(const Config& config) override;
  std::string size_keys() const override { return "train.batch or data.size"; }

 private:
  // Data of the last configuration asked for: the populations of a study mostly share it.
  struct Data {
    std::string key;
    LabelledDataset train, val;
    std::unique_ptr<ResidentImages> resident;  // of `train`, where it lies for good
  };
  Data& data(const Config& config);
  ClassEvaluator evaluator(const Config& config, Split split);

  std::unique_ptr<Data> data_;
};

}  // namespace gridstep
