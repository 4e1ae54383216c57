#include "engine/passes/emit_codes.h"

#include <algorithm>

#include "kernels/quantize/quantize.h"

namespace gridstep {
namespace {

bool has_role(const Graph& graph, ValueId id, Role role) {
  const GraphValue& value = graph.value(id);
  return value.storage == Storage::kParameter &&
         graph.parameters()[static_cast<std::size_t>(value.parameter)].role == role;
}

bool can_be_emitted(const Graph& graph, const Node& node) {
  if (node.op != &quantize_op() || node.at_start) return false;
  const auto& attrs = node.attrs_as<QuantizeAttrs>();
  const auto is_activation = [&](ValueId id) { return graph.value(id).storage == Storage::kActivation; };
  return !attrs.fake && attrs.activation == FusedActivation::kNone && has_role(graph, node.inputs[0], Role::kWeight) &&
         has_role(graph, node.inputs[1], Role::kStep) &&
         std::all_of(node.outputs.begin(), node.outputs.end(), is_activation);
}

}  // namespace

std::vector<std::string> emit_weight_codes(Graph& graph) {
  std::vector<std::string> names;
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    Node& node = graph.node(static_cast<NodeId>(n));
    if (!can_be_emitted(graph, node)) continue;
    node.at_start = true;
    for (const ValueId id : node.outputs) graph.mark_output(id);
    names.push_back(node.name);
  }
  return names;
}

}  // namespace gridstep
