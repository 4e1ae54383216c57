// A population: R networks of one architecture trained together by one program, each with its own seed, optimizer and
// rate.
//
// Replica r equals its solo run bit for bit; one that diverges leaves the others untouched. Phases are programs that
// share the parameters: float warm-up (optional), calibration, training.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/graph/program.h"
#include "engine/quant/calibrate.h"
#include "engine/train/schedule.h"
#include "optim/registry.h"

namespace gridstep {

// One replica's settings.
struct ReplicaSettings {
  std::uint64_t seed = 0;
  int rule = 0;  // optim/registry.h
  Settings optimizer;
  Schedule schedule;
  double lr = 0.0;
};

struct CalibrationGraph {
  Graph graph;  // forward only, unfused; the inputs of activation quantizers are outputs
  std::vector<CalibrationSite> sites;
};

// How the task describes its networks. The parameters of the quantized training graph must include those of the float
// one.
struct TrainingGraphs {
  std::function<Graph(bool quantized)> train;     // batch assembly, forward, loss, backward
  std::function<CalibrationGraph()> calibration;  // on the batch that StepParams selects; empty: nothing to quantize
};

struct PopulationOptions {
  std::int64_t steps_per_epoch = 0;
  std::int64_t epochs = 0;
  std::int64_t float_epochs = 0;  // before calibration
  std::uint32_t batch = 0;
  bool debug = false;
  bool capture = true;  // ProgramOptions::capture
};

class Population {
 public:
  Population(Device& device, TrainingGraphs graphs, std::vector<ReplicaSettings> replicas, PopulationOptions options);

  // Fresh weights from the seeds, at step 0. A resumed population loads its parameters instead and calls seek().
  void initialise();
  // Continues at this step. The parameters (steps calibrated before it included) must be in place.
  void seek(std::int64_t step);

  // One optimizer step of all replicas.
  void step();

  std::int64_t steps_done() const { return step_; }
  std::int64_t total_steps() const { return options_.epochs * options_.steps_per_epoch; }
  bool at_epoch_end() const { return step_ > 0 && step_ % options_.steps_per_epoch == 0; }
  // Whether the networks compute with quantizers by now: what an evaluation must do as well.
  bool is_quantized() const { return quantized_; }

  ParameterStore& store() { return *store_; }
  const std::vector<ReplicaSettings>& replicas() const { return replicas_; }
  // The node a fault code names: "conv2/quantize", or "optimizer".
  std::string fault_text(std::uint64_t first_fault) const;
  const Program* program() const { return program_.get(); }

 private:
  void enter_phase();
  void fill_params();
  void record_update(Recorder& recorder, std::span<const BoundNode> at_start) const;

  Device& device_;
  TrainingGraphs graphs_;
  std::vector<ReplicaSettings> replicas_;
  PopulationOptions options_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Program> program_;
  std::vector<StepParams> params_;
  std::int64_t step_ = 0;
  bool quantized_ = false;
  bool calibrated_ = false;
};

}  // namespace gridstep
