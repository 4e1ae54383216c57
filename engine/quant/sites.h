// The quantizers of a network, visited in the order of its forward pass.
#pragma once

#include <functional>
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
  std::string input;      // the value that is quantized: of the graph, or a parameter
  CodeRange range;
  StepForm form = StepForm::kLog;
  bool is_weight = false;
  bool per_channel = false;
};

// Runs an unfused forward pass once and calls `visit` for each site, in their order (that of the graph), with the
// tensor that is quantized: after all that comes before its quantizer and before the quantizer itself. What a visit
// changes in the parameters, the rest of the pass computes with.
void visit_sites(Program& forward, ParameterStore& store, const std::vector<CalibrationSite>& sites,
                 const std::function<void(const CalibrationSite&, const Tensor&)>& visit);

}  // namespace gridstep
