// Fusion: a node does the work of its neighbour as well, where the ops say they can (OpDef::absorb_producer,
// absorb_reader, extend_producer). Runs before differentiation. Fused and unfused graphs give equal codes, bit for bit,
// from equal inputs.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace gridstep {

// What became of a pair of neighbours that could be considered: for `describe`.
struct FusionNote {
  std::string into, absorbed;
  std::string refusal = {};  // why they stay apart; empty: fused
};

std::vector<FusionNote> fuse(Graph& graph);

}  // namespace gridstep
