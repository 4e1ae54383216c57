// A population: R networks of one architecture trained together by one program, each with its own seed, optimizer and
// rate.
//
// Replica r equals its solo run bit for bit; one that diverges leaves the others untouched. Phases (phase.h) are
// programs that share the parameters; where quantizers begin or change their bits, their steps are calibrated.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/graph/program.h"
#include "engine/quant/calibrate.h"
#include "engine/quant/health.h"
#include "engine/train/phase.h"
#include "engine/train/running_statistics.h"
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
  Graph graph;  // forward only, unfused
  std::vector<QuantizerSite> sites;
};

// How the task describes its networks. The parameters of the last phase's training graph must include those of all
// others.
struct TrainingGraphs {
  std::function<Graph(const Phase&)> train;  // batch assembly, forward, loss, backward
  // Of a quantized phase, on the batch that StepParams selects; may be empty where no phase is quantized.
  std::function<CalibrationGraph(const Phase&)> calibration = {};
  // Forward only, like `calibration`, with the running statistics and at most 16 samples: for health().
  std::function<CalibrationGraph(const Phase&)> health = {};
  // Of networks with normalisation, on the batch that StepParams selects: for estimate_statistics().
  std::function<StatisticsGraph(const Phase&)> statistics = {};
};

struct PopulationOptions {
  std::int64_t steps_per_epoch = 0;
  std::int64_t epochs = 0;
  std::vector<Phase> phases = {{}};  // the first from epoch 0, in order
  std::uint32_t batch = 0;
  bool debug = false;
  bool capture = true;  // ProgramOptions::capture
  bool health = false;  // keeps the weights before the last step of an epoch
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
  // That of the last step done (before any: the first): what an evaluation must compute as well.
  const Phase& phase() const { return options_.phases[static_cast<std::size_t>(std::max(phase_, 0))]; }
  // Whether networks compute with the bits that they end with.
  bool has_final_bits() const { return phase().same_bits(options_.phases.back()); }

  // Running statistics as the mean over the first batches of the epoch to come, with the weights as they are.
  void estimate_statistics(int batches);
  // The state of every quantizer at the end of an epoch, [replica][site], on the first samples of the last step's
  // batch. Empty where nothing is quantized, or PopulationOptions::health is false. Changes nothing.
  std::vector<std::vector<SiteHealth>> health();

  ParameterStore& store() { return *store_; }
  const std::vector<ReplicaSettings>& replicas() const { return replicas_; }
  // The node a fault code names: "conv2/quantize", or "optimizer".
  std::string fault_text(std::uint64_t first_fault) const;
  const Program* program() const { return program_.get(); }

 private:
  int phase_at(std::int64_t step) const;
  std::int64_t calibrated_at(int phase) const;
  void calibrate_phase(const Phase& phase);
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
  std::vector<std::vector<float>> before_;  // weights before the last step of the epoch
  std::int64_t step_ = 0;
  int phase_ = -1;
};

}  // namespace gridstep
