// Trains populations of super-resolution networks for the study layer.
#pragma once

#include <memory>
#include <string>

#include "apps/gridstep/resident_photos.h"
#include "apps/gridstep/sr_evaluator.h"
#include "engine/study/runner.h"

namespace gridstep {

class SrRunner final : public CellRunner {
 public:
  explicit SrRunner(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  int preferred_replicas(const Config& config) override;
  std::vector<CellOutcome> run(std::span<const Cell> cells, const RunOptions& options) override;
  Floor floor(const Config& config) override;
  std::string device_name() override { return device_->describe(); }
  std::string protocol(const Config& config) override;
  nlohmann::json environment() override;
  std::string plan(const Config& config, int replicas) override;

 private:
  // Data of the last configuration asked for: the populations of a study mostly share it.
  struct Data {
    std::string key;
    SrDataset train, val;
    ResidentPhotos resident;
    std::vector<SrPhoto> train_sample;  // a few training photos that are evaluated as well
  };
  Data& data(const Config& config);
  Bytes program_bytes(const Config& config, int replicas);

  std::unique_ptr<Device> device_;
  std::unique_ptr<Data> data_;
};

// The device that run.device and run.threads ask for; says why when `auto` does not take CUDA.
std::unique_ptr<Device> open_device(const Config& config);

}  // namespace gridstep
