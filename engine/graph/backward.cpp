#include "engine/graph/backward.h"

#include <algorithm>

#include "engine/graph/op.h"

namespace gridstep {
namespace {

// Forward reachability from trained parameters.
std::vector<bool> find_needs(const Graph& graph) {
  std::vector<bool> needs(graph.values().size(), false);
  for (std::size_t v = 0; v < needs.size(); ++v) {
    const GraphValue& value = graph.values()[v];
    needs[v] = value.storage == Storage::kParameter &&
               graph.parameters()[static_cast<std::size_t>(value.parameter)].role != Role::kState;
  }
  for (const Node& node : graph.nodes()) {
    const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                 [&](ValueId id) { return id != kNoValue && needs[static_cast<std::size_t>(id)]; });
    for (const ValueId out : node.outputs) needs[static_cast<std::size_t>(out)] = any;
  }
  return needs;
}

}  // namespace

GradientBuilder::GradientBuilder(Graph& graph)
    : graph_(graph), gradients_(graph.values().size(), kNoValue), needs_(find_needs(graph)) {}

ValueId GradientBuilder::gradient(ValueId value) const {
  const auto i = static_cast<std::size_t>(value);
  return i < gradients_.size() ? gradients_[i] : kNoValue;
}

void GradientBuilder::accumulate(ValueId value, ValueId gradient) {
  ValueId& sum = gradients_[static_cast<std::size_t>(value)];
  if (sum == kNoValue) {
    sum = gradient;
    return;
  }
  sum = add_node(fmt::format("{}/sum{}", graph_.value(value).name, graph_.nodes().size()), *add_, std::any{},
                 {sum, gradient})[0];
}

std::vector<ValueId> GradientBuilder::add_node(std::string name, const OpDef& op, std::any attrs,
                                               std::vector<ValueId> inputs) {
  return graph_.add_node(std::move(name), op, std::move(attrs), std::move(inputs));
}

void differentiate(Graph& graph, ValueId loss, const OpDef& add) {
  GradientBuilder builder(graph);
  builder.add_ = &add;
  const NodeId loss_node = graph.value(loss).producer;
  for (NodeId n = loss_node; n >= 0; --n) {
    const Node node = graph.node(n);  // a copy: rules append nodes
    const bool reached = n == loss_node || std::any_of(node.outputs.begin(), node.outputs.end(),
                                                       [&](ValueId id) { return builder.gradient(id) != kNoValue; });
    const bool needed =
        std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return builder.needs_gradient(id); });
    if (!reached || !needed) continue;
    if (node.op->gradient == nullptr)
      fail("{} ({}) lies between the loss and a parameter but has no gradient", node.name, node.op->name);
    node.op->gradient(builder, node);
  }
  for (std::size_t v = 0; v < builder.gradients_.size(); ++v) {
    if (!builder.needs_[v] || graph.values()[v].storage != Storage::kParameter) continue;
    const ValueId g = builder.gradients_[v];
    if (g == kNoValue) fail("parameter '{}' receives no gradient and would never learn", graph.values()[v].name);
    // Each gradient needs its own place in the store; ops that pass one on unchanged (add) can lead two parameters to
    // it.
    if (graph.value(g).storage == Storage::kGradient) {
      fail("parameters '{}' and '{}' receive the same gradient tensor '{}'",
           graph.parameters()[static_cast<std::size_t>(graph.value(g).parameter)].name, graph.values()[v].name,
           graph.value(g).name);
    }
    graph.value(g).storage = Storage::kGradient;
    graph.value(g).parameter = graph.values()[v].parameter;
  }
}

}  // namespace gridstep
