// Weight codes from the optimizer: quantizers of trained weights run at a program's start only, and the launch that
// updates weights and steps writes their codes and steps for the step to come. Equal to quantizing in every step, bit
// for bit.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace gridstep {

// Runs last, on a graph whose optimizer takes part (optim/optimizer.h: CodeOutput). Returns the quantizers' names.
// Those in the fake form stay as they are: their values are float, and no kernel is saved that another does not pay
// for.
std::vector<std::string> emit_weight_codes(Graph& graph);

}  // namespace gridstep
