// The quantizers of a network, visited in the order of its forward pass.
#pragma once

#include <functional>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/graph/program.h"
#include "kernels/quantize/quantizer_site.h"

namespace gridstep {

// Runs an unfused forward pass once and calls `visit` for each site, in their order (that of the graph), with the
// tensor that is quantized: after all that comes before its quantizer and before the quantizer itself. What a visit
// changes in the parameters, the rest of the pass computes with.
void visit_sites(Program& forward, ParameterStore& store, const std::vector<QuantizerSite>& sites,
                 const std::function<void(const QuantizerSite&, const Tensor&)>& visit);

}  // namespace gridstep
