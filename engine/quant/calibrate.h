// Calibration: the initial steps of all quantizers of a network, layer by layer on one batch, each behind the already
// quantized prefix.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/graph/program.h"
#include "kernels/quantize/quantize_math.h"

namespace gridstep {

struct CalibrationSite {
  std::string name;       // "conv2.input"
  std::string parameter;  // of the step
  std::string state;      // of the calibrated step s0
  std::string input;      // the value that is quantized: an output of `forward`, or a parameter
  CodeRange range;
  StepForm form = StepForm::kLog;
  bool is_weight = false;
  bool per_channel = false;
};

// Sites in the order of the forward pass. Sets parameter and state of every site and replica (observer.h says by which
// rule); a channel of zeros takes the step of the whole tensor. Replicas with a fault
// are passed over. The replicas' status is left as it was.
void calibrate(Program& forward, ParameterStore& store, const std::vector<CalibrationSite>& sites);

}  // namespace gridstep
