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

// The bits of a phase in place of those that the network ends with.
void set_phase(QuantConfig& quant, const Phase& phase);

// The phase that a network ends with, as far as evaluation is concerned.
Phase final_phase(const QuantConfig& quant);

constexpr Index kHealthSamples = 16;  // of a batch: TrainingGraphs::health

}  // namespace gridstep
