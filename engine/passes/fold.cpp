#include "engine/passes/fold.h"

#include <algorithm>

#include "engine/graph/op.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/fold_norm/fold_norm.h"

namespace gridstep {
namespace {

enum ConvInput { kX, kW, kBias, kXStep, kWStep };

// Why the batch normalisation `norm` stays; empty: it can be folded into the producer of its input.
std::string why_not(const Graph& graph, const Node& norm) {
  const auto& attrs = norm.attrs_as<BatchNormAttrs>();
  const GraphValue& x = graph.value(norm.inputs[0]);
  if (!attrs.frozen) return "its statistics are those of the batch";
  if (x.producer < 0 || graph.node(x.producer).op != &conv2d_op()) return "no convolution comes before it";
  if (attrs.add || attrs.relu || attrs.quantize || graph.node(x.producer).outputs.size() > 1) return "it is fused";
  const auto is_read = [&](ValueId id) {
    return graph.value(id).storage != Storage::kActivation || !graph.readers(id).empty();
  };
  if (is_read(norm.outputs[1]) || is_read(norm.outputs[2])) return "others read its statistics";
  if (x.storage != Storage::kActivation || graph.readers(norm.inputs[0]).size() > 1)
    return "others read the convolution as well";
  return {};
}

// The convolution takes the place and the output of the batch normalisation, and what it now needs is made where it
// was.
void fold_into(Graph& graph, NodeId conv_id, NodeId norm_id) {
  Node conv = graph.node(conv_id);
  const Node norm = graph.node(norm_id);
  const ConvInput scaled = conv.inputs[kWStep] != kNoValue ? kWStep : kW;
  std::vector<ValueId> inputs{conv.inputs[scaled]};
  inputs.insert(inputs.end(), norm.inputs.begin() + 1, norm.inputs.end());
  inputs.push_back(conv.inputs[kBias]);

  graph.value(conv.outputs[0]).producer = -1;
  for (const ValueId out : norm.outputs) graph.value(out).producer = -1;
  graph.node(conv_id) = graph.node(norm_id) = Node{};
  const auto made = graph.add_node(norm.name + "/fold", fold_norm_op(),
                                   FoldNormAttrs{norm.attrs_as<BatchNormAttrs>().eps}, std::move(inputs));
  std::swap(graph.node(conv_id), graph.node(static_cast<NodeId>(graph.nodes().size()) - 1));
  conv.inputs[scaled] = made[0];
  conv.inputs[kBias] = made[1];
  conv.outputs[0] = norm.outputs[0];
  graph.node(norm_id) = std::move(conv);
}

}  // namespace

std::vector<FusionNote> fold(Graph& graph) {
  std::vector<FusionNote> notes;
  const auto count = static_cast<NodeId>(graph.nodes().size());
  for (NodeId n = 0; n < count; ++n) {
    const Node& node = graph.node(n);
    if (node.op != &batch_norm_op()) continue;
    const NodeId producer = graph.value(node.inputs[0]).producer;
    notes.push_back(
        {producer < 0 ? graph.value(node.inputs[0]).name : graph.node(producer).name, node.name, why_not(graph, node)});
    if (notes.back().refusal.empty()) fold_into(graph, producer, n);
  }
  graph.remove_dead_nodes();
  for (NodeId n = 0; n < static_cast<NodeId>(graph.nodes().size()); ++n) {
    Node& node = graph.node(n);
    if (node.op == &conv2d_op()) std::any_cast<Conv2dAttrs&>(node.attrs).inference = true;
  }
  return notes;
}

std::vector<std::string> run_at_start(Graph& graph) {
  const auto is_ready = [&](ValueId id) {
    if (id == kNoValue || graph.value(id).storage == Storage::kParameter) return true;
    const NodeId producer = graph.value(id).producer;
    return producer >= 0 && graph.node(producer).at_start;
  };
  std::vector<std::string> names;
  const auto count = static_cast<NodeId>(graph.nodes().size());
  for (NodeId n = 0; n < count; ++n) {
    Node& node = graph.node(n);
    if (node.inputs.empty() || !std::all_of(node.inputs.begin(), node.inputs.end(), is_ready)) continue;
    node.at_start = true;
    names.push_back(node.name);
  }
  // What only such nodes read need not outlive them.
  const auto is_late = [&](NodeId reader) { return !graph.node(reader).at_start; };
  for (NodeId n = 0; n < count; ++n) {
    if (!graph.node(n).at_start) continue;
    for (const ValueId id : graph.node(n).outputs) {
      const auto readers = graph.readers(id);
      if (graph.value(id).storage == Storage::kActivation && std::any_of(readers.begin(), readers.end(), is_late))
        graph.mark_output(id);
    }
  }
  return names;
}

}  // namespace gridstep
