// Calibration: the initial steps of all quantizers of a network, layer by layer on one batch, each behind the already
// quantized prefix.
#pragma once

#include <vector>

#include "engine/quant/sites.h"

namespace gridstep {

// Sites in the order of the forward pass. Sets parameter and state of every site and replica (observer.h says by which
// rule); a channel of zeros takes the step of the whole tensor. Replicas with a fault
// are passed over. The replicas' status is left as it was.
void calibrate(Program& forward, ParameterStore& store, const std::vector<QuantizerSite>& sites);

}  // namespace gridstep
