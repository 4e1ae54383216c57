// One quantizer of a network: what calibration and reports need to know.
#pragma once

#include <string>

#include "kernels/quantize/quantize_math.h"

namespace gridstep {

struct QuantizerSite {
  std::string name;       // "conv2.input", "conv2.weight"
  std::string parameter;  // the step's parameter: "conv2.input_step"
  std::string state;      // the calibrated step s0: "conv2.input_step0"
  std::string input;      // the value that is quantized, by its name before fusion: of the graph, or a parameter
  CodeRange range;
  StepForm form = StepForm::kLog;
  bool is_weight = false;
  bool per_channel = false;
};

}  // namespace gridstep
