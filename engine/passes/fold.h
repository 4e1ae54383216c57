// Folding for graphs without a gradient: frozen batch normalisation becomes part of the convolution before it. Its
// scale goes into the steps of the weight codes (or into the weights, on floats) and its shift into the bias
// (kernels/fold_norm/fold_norm.h). Folding changes rounding, fusion (fuse.h) does not: so it runs before fusion, and
// whether fusion follows or not.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/passes/fuse.h"

namespace gridstep {

// Folds every batch normalisation that follows a convolution and is the only one to read it. Every convolution may then
// take in more of what follows (Conv2dAttrs::inference). One note for each batch normalisation.
std::vector<FusionNote> fold(Graph& graph);

// Nodes that depend on parameters only run at a program's start (Node::at_start), where nothing in the graph changes
// parameters. Returns their names.
std::vector<std::string> run_at_start(Graph& graph);

}  // namespace gridstep
