// What the runners of all tasks share: the device, how many networks fit it, the course of a population.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "apps/gridstep/training_task.h"
#include "engine/study/runner.h"

namespace gridstep {

// What a population will take, before anything is allocated.
struct PlannedMemory {
  Bytes weights = 0, gradients = 0, optimizer = 0;
  Bytes activations = 0;  // the largest arena: of a training step or a calibration
  Bytes scratch = 0;      // of the CPU's threads
  Bytes evaluation = 0;   // held beside the training, quantizers' states included
  Bytes saving = 0;       // a checkpoint on its way to the disk
  Bytes total() const { return weights + gradients + optimizer + activations + scratch + evaluation + saving; }
  std::string text() const;  // "31.2 MiB: weights 0.1, gradients ..."
};

// What evaluations hold: networks and programs; and per thread of the CPU while they run.
struct EvaluationMemory {
  Bytes held = 0, per_thread = 0;
};

// The planned memory of training `replicas` networks through these phases, whose arenas do not exist at the same time;
// `slots`: optimizer arrays of the size of the weights.
PlannedMemory plan_training(const TrainingGraphs& graphs, std::span<const Phase> phases, const Device& device,
                            int replicas, int slots);

// DeviceError where the device cannot do what the configuration asks of it.
void check_device(const Device& device, const Config& config);

class TaskRunner : public CellRunner {
 public:
  explicit TaskRunner(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  void require_trainable(const Cell& cell) override { check_device(*device_, cell.config); }
  int preferred_replicas(const Config& config) override;
  std::vector<CellOutcome> run(std::span<const Cell> cells, const RunOptions& options) override;
  std::string device_name() override { return device_->describe(); }
  nlohmann::json environment() override;
  std::string plan(std::span<const Cell> cells) override;

 protected:
  // Both may open the data.
  virtual std::unique_ptr<TrainingTask> make_task(const Config& config) = 0;
  virtual TrainingGraphs training_graphs(const Config& config) = 0;
  // What evaluating so many networks takes.
  virtual EvaluationMemory evaluation_memory(const Config& config, int replicas) = 0;
  // "train.batch or train.patch": what makes a network that does not fit smaller.
  virtual std::string size_keys() const = 0;
  // What speaks against the size of the images, though it can be trained; empty: nothing.
  virtual std::string size_warning(const Config&) { return {}; }

  Device& device() { return *device_; }
  // The memory that evaluations may take.
  Bytes evaluation_budget() const;

 private:
  Bytes health_bytes(const Config& config, Bytes weights, int replicas);
  PlannedMemory planned(const Config& config, int replicas, int slots);
  PlannedMemory planned(std::span<const Cell> cells);

  std::unique_ptr<Device> device_;
  std::string warned_;  // of sizes, last
};

// The device that run.device and run.threads ask for; says why when `auto` does not take CUDA.
std::unique_ptr<Device> open_device(const Config& config);

}  // namespace gridstep
