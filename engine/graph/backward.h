// Differentiation as a pass over the graph: each op's gradient rule adds backward nodes.
#pragma once

#include <any>
#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace gridstep {

// What a gradient rule sees.
class GradientBuilder {
 public:
  explicit GradientBuilder(Graph& graph);

  Graph& graph() { return graph_; }
  // Gradient of the loss by a value; kNoValue when the loss does not depend on it.
  ValueId gradient(ValueId value) const;
  // Whether anything trained lies upstream: rules skip work for inputs without.
  bool needs_gradient(ValueId value) const { return value != kNoValue && needs_[static_cast<std::size_t>(value)]; }
  // Adds dL/dvalue; a second contribution is summed with the first by an `add` node.
  void accumulate(ValueId value, ValueId gradient);
  // Adds a backward node.
  std::vector<ValueId> add_node(std::string name, const OpDef& op, std::any attrs, std::vector<ValueId> inputs);

 private:
  friend void differentiate(Graph& graph, ValueId loss, const OpDef& add);
  Graph& graph_;
  const OpDef* add_ = nullptr;
  std::vector<ValueId> gradients_;
  std::vector<bool> needs_;
};

// Appends the backward nodes for the scalar `loss` (whose own rule needs no incoming gradient). The gradient of every
// trained parameter ends in the parameter store (Storage::kGradient). `add` is the op that sums two contributions.
// Throws when a trained parameter receives no gradient: it would silently never learn.
void differentiate(Graph& graph, ValueId loss, const OpDef& add);

}  // namespace gridstep
