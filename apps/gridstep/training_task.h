// What a task (super-resolution, classification) brings to the training of a population.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/train/population.h"

namespace gridstep {

enum class Split { kTrain, kVal };

// One replica's measurement.
struct Measured {
  std::map<std::string, double> metrics;  // "psnr_y", "top1", "loss"
  bool fault = false;                     // a NaN or infinity was met
};

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  virtual TrainingGraphs graphs() const = 0;
  virtual std::int64_t batch() const = 0;
  virtual std::int64_t steps_per_epoch() const = 0;
  // Names the content of the data: a checkpoint trained on other data is refused.
  virtual std::string data_digest() const = 0;
  // Throws DataChanged when the data are no longer what the digest says.
  virtual void require_unchanged_data() = 0;
  // Every replica on the validation data, or on a fixed sample of the training data. `everything`: metrics too costly
  // for every epoch as well.
  virtual std::vector<Measured> measure(const ParameterStore& store, Split split, const Phase& phase,
                                        bool everything) = 0;
};

}  // namespace gridstep
