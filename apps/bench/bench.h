// The subcommands of gridstep-bench. Each function registers one with the parser.
#pragma once

#include <memory>
#include <string>

#include "apps/bench/report.h"
#include "apps/bench/timing.h"
#include "apps/gridstep/task_runner.h"
#include "engine/train/population.h"

namespace CLI {
class App;
}

namespace gridstep::bench {

void add_kernels_command(CLI::App& app);
void add_step_command(CLI::App& app);
void add_population_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_peak_command(CLI::App& app);

// What most of them take.
struct CommonArgs {
  std::string device = "auto";
  int threads = 0;
  TimingOptions timing;
  ReportFiles files;
};
void add_common_options(CLI::App& command, CommonArgs& args);
std::unique_ptr<Device> open_device(const CommonArgs& args);

// A training step to be timed.
struct StepArgs {
  std::string model = "espcn", bits = "8,8", fuse = "all", arithmetic = "codes", backward = "float32";
  std::string optimizer = "adam", capture = "auto";
  int scale = 0, patch = 0;  // super-resolution; 0: 3 and 17
  int size = 0;              // classification; 0: 32 for resnet20, else 224
  int batch = 16, replicas = 1;
};
void add_step_options(CLI::App& command, StepArgs& args);
// Fills in what depends on the model; ConfigError for an unknown model, or an option that does not concern it.
void resolve(StepArgs& args);
bool is_classifier(const StepArgs& args);
std::string text_of(const StepArgs& args);

// What is trained; the images live as long as the graphs' functions.
TrainingGraphs make_work(Device& device, const StepArgs& args);
Phase work_phase(const StepArgs& args);

// A population in training on synthetic photos or random images, past its calibration.
class StepBench {
 public:
  StepBench(Device& device, const StepArgs& args);
  Timing time(const TimingOptions& options);
  Population& population() { return *population_; }
  const Program& program() const { return *population_->program(); }
  // What training takes: as planned, and as measured from before the plan to the end of the third step.
  const PlannedMemory& planned() const { return planned_; }
  Bytes measured_bytes() const { return measured_; }

 private:
  Device& device_;
  TrainingGraphs work_;
  PlannedMemory planned_;
  Bytes measured_ = 0;
  std::unique_ptr<Population> population_;
};

}  // namespace gridstep::bench
