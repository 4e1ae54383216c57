// What a configuration says of any network, whatever its task.
#pragma once

#include <string>
#include <vector>

#include "engine/study/config.h"
#include "engine/train/population.h"
#include "kernels/conv2d/conv2d.h"
#include "models/blocks.h"

namespace gridstep {

QuantConfig quant_config(const Config& config);
ConvEngine conv_engine(const std::string& name);        // "auto", "own" or "cudnn"
ConvGradients conv_gradients(const std::string& name);  // "float32" or "bfloat16"

// The quantizers of a model become sites to calibrate; inputs of activation quantizers become outputs of the graph.
void add_calibration_sites(CalibrationGraph& to, const std::vector<QuantizerSite>& quantizers);

}  // namespace gridstep
