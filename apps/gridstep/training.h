// One population of networks from its first (or last checkpointed) step to its last: epochs, evaluation, metrics,
// checkpoints.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/gridstep/cell_checkpoints.h"
#include "apps/gridstep/training_task.h"
#include "engine/study/runner.h"
#include "engine/train/checkpoint.h"

namespace gridstep {

// What one replica carries from epoch to epoch beside its parameters. Saved with every checkpoint.
struct CellProgress : CellRecord {
  fs::path folder;              // cells/<name>
  double seconds_before = 0.0;  // spent before the resume
};

class Training {
 public:
  Training(Device& device, std::span<const Cell> cells, const RunOptions& options, std::unique_ptr<TrainingTask> task);

  std::vector<CellOutcome> run();

 private:
  void start();
  void load();
  void end_epoch();
  void save(const char* which);
  void save_cell(std::size_t i, const char* which, const std::vector<ReplicaStatus>& status);
  void load_start(std::size_t i);
  nlohmann::ordered_json metrics_line(std::size_t i, const ReplicaStatus& status) const;
  void note_best(std::size_t i, const std::vector<ReplicaStatus>& status);
  void show_progress(bool final);
  bool all_diverged() const;
  double seconds(std::size_t i) const;
  CellOutcome outcome(std::size_t i, const ReplicaStatus& status) const;

  Device& device_;
  std::vector<const Cell*> cells_;
  RunOptions options_;
  const Config& config_;  // of the first cell: the keys that all cells share
  std::unique_ptr<TrainingTask> task_;
  Population population_;
  std::int64_t steps_per_epoch_;
  std::vector<CellProgress> progress_;
  std::chrono::steady_clock::time_point started_;
  std::int64_t first_step_ = 0;
};

fs::path cell_folder(const fs::path& run_folder, const Cell& cell);

}  // namespace gridstep
