// Trains populations of super-resolution networks for the study layer.
#pragma once

#include <memory>
#include <string>

#include "apps/gridstep/resident_photos.h"
#include "apps/gridstep/sr_evaluator.h"
#include "apps/gridstep/task_runner.h"

namespace gridstep {

class SrRunner final : public TaskRunner {
 public:
  using TaskRunner::TaskRunner;

  Floor floor(const Config& config) override;
  std::string protocol(const Config& config) override;

 protected:
  std::unique_ptr<TrainingTask> make_task(const Config& config) override;
  TrainingGraphs training_graphs(const Config& config) override;
  EvaluationMemory evaluation_memory(const Config& config, int replicas) override;
  std::string size_keys() const override { return "train.batch or train.patch"; }

 private:
  // Data of the last configuration asked for: the populations of a study mostly share it.
  struct Data {
    std::string key;
    SrDataset train, val;
    ResidentPhotos resident;
    std::vector<SrPhoto> train_sample;  // a few training photos that are evaluated as well
  };
  Data& data(const Config& config);
  SrEvaluator evaluator(const Config& config, const std::vector<SrPhoto>& photos);

  std::unique_ptr<Data> data_;
};

}  // namespace gridstep
