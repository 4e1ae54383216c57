// What the study layer asks of the training layer.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/study/grid.h"

namespace gridstep {

// How one cell ended.
struct CellOutcome {
  std::string status;                     // "ok", "diverged" or "failed"; a resumed study repeats failed cells only
  std::int64_t steps = 0;                 // optimizer steps done
  double seconds = 0;                     // wall time of the program divided by its replicas
  int replicas = 1;                       // of the program that trained it
  std::map<std::string, double> metrics;  // last epoch: "psnr_y", "psnr_rgb", "ssim", "loss"; ignored unless ok
  std::map<std::string, double> best;     // the same names at the best epoch by study.metric
  std::string note;                       // why it did not end ok: "NaN in conv2 at step 120"
  double clipped_share = -1;              // of steps or units, 0..1; negative: not a clipping optimizer
};

struct RunOptions {
  fs::path folder;      // the run folder: runs/<study>, or runs/<study>/tune
  bool resume = false;  // continue from cells/<name>/checkpoints where there are any
  std::string label;    // for progress lines: "population 2/3"
};

// The value a network must beat, in study.metric.
struct Floor {
  std::string name;  // "bicubic"
  double value = 0;
};

class CellRunner {
 public:
  virtual ~CellRunner() = default;

  // DeviceError where the device cannot do what the cell asks of it. Asked of every cell that is still to be trained,
  // before anything is written, and of none that has ended.
  virtual void require_trainable(const Cell&) {}

  // How many replicas of this architecture one program should train at once (memory and speed); at least 1.
  virtual int preferred_replicas(const Config& config) = 0;

  // Trains one population: cells that differ in per-replica keys only. Writes cells/<name>/metrics.jsonl and
  // checkpoints itself; the caller writes result.json. Outcomes are in the order of the cells. After a resume with
  // another population size the cells' checkpoints may stand at different steps. Throws Interrupted after a checkpoint.
  virtual std::vector<CellOutcome> run(std::span<const Cell> cells, const RunOptions& options) = 0;

  virtual Floor floor(const Config& config) = 0;
  // Further values worth a line beside the floor: chance.
  virtual std::vector<Floor> references(const Config&) { return {}; }
  virtual std::string device_name() = 0;
  virtual std::string protocol(const Config& config) = 0;  // "PSNR-Y, BT.601, crop 3 px"
  virtual nlohmann::json environment() = 0;                // an object: versions, instruction set, threads

  // Lines for --dry-run about a population: steps per epoch, planned memory. May open the data.
  virtual std::string plan(std::span<const Cell> cells) = 0;
};

}  // namespace gridstep
