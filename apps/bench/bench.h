// The subcommands of gridstep-bench. Each function registers one with the parser.
#pragma once

#include <memory>
#include <string>

#include "apps/bench/report.h"
#include "apps/bench/timing.h"
#include "apps/gridstep/resident_photos.h"
#include "apps/gridstep/sr_task.h"

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
  std::string model = "espcn", bits = "8,8", fuse = "all", arithmetic = "codes", optimizer = "adam", capture = "auto";
  int scale = 3, patch = 17, batch = 16, replicas = 1;
};
void add_step_options(CLI::App& command, StepArgs& args);
std::string text_of(const StepArgs& args);

// A population in training on synthetic photos, past its calibration.
class StepBench {
 public:
  StepBench(Device& device, const StepArgs& args);
  Timing time(const TimingOptions& options);
  Population& population() { return *population_; }
  const Program& program() const { return *population_->program(); }

 private:
  Device& device_;
  SrTask task_;
  SrDataset data_;
  ResidentPhotos photos_;
  std::unique_ptr<Population> population_;
};

}  // namespace gridstep::bench
