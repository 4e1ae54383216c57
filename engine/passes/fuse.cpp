#include "engine/passes/fuse.h"

#include <algorithm>

#include "engine/graph/op.h"

namespace gridstep {
namespace {

// The only reader of all that a node produces; -1 when there is none or several.
NodeId sole_reader(const Graph& graph, const Node& node) {
  NodeId reader = -1;
  for (const ValueId out : node.outputs) {
    if (graph.value(out).storage != Storage::kActivation) return -1;
    for (const NodeId r : graph.readers(out)) {
      if (reader >= 0 && r != reader) return -1;
      reader = r;
    }
  }
  return reader;
}

bool is_live(const Node& node) { return node.op != nullptr; }

void retire(Graph& graph, NodeId id) {
  for (const ValueId out : graph.node(id).outputs) {
    if (graph.value(out).producer == id) graph.value(out).producer = -1;
  }
  graph.node(id) = Node{};
}

// `reader` takes over the inputs of its first operand's producer.
bool try_producer(Graph& graph, NodeId producer, NodeId reader) {
  Node& self = graph.node(reader);
  const Node& victim = graph.node(producer);
  if (self.op->absorb_producer == nullptr || self.inputs[0] != victim.outputs[0]) return false;
  if (!self.op->absorb_producer(self, victim)) return false;
  self.inputs[0] = victim.inputs[0];
  retire(graph, producer);
  return true;
}

// `node` takes over its reader's outputs and its further inputs.
bool try_reader(Graph& graph, NodeId node, NodeId reader) {
  Node& self = graph.node(node);
  const Node victim = graph.node(reader);
  if (self.op->absorb_reader == nullptr || victim.inputs[0] != self.outputs[0]) return false;
  if (!self.op->absorb_reader(self, victim)) return false;
  self.inputs.insert(self.inputs.end(), victim.inputs.begin() + 1, victim.inputs.end());
  for (const ValueId out : victim.outputs) {
    self.outputs.push_back(out);
    graph.value(out).producer = node;
  }
  graph.node(reader) = Node{};
  return true;
}

}  // namespace

std::vector<FusionNote> fuse(Graph& graph) {
  std::vector<FusionNote> notes;
  const auto count = static_cast<NodeId>(graph.nodes().size());
  const auto sweep = [&](auto&& attempt, bool into_reader) {
    for (NodeId n = 0; n < count; ++n) {
      if (!is_live(graph.node(n))) continue;
      const NodeId reader = sole_reader(graph, graph.node(n));
      if (reader < 0) continue;
      FusionNote note{graph.node(into_reader ? reader : n).name, graph.node(into_reader ? n : reader).name};
      if (attempt(graph, n, reader)) notes.push_back(std::move(note));
    }
  };
  sweep(try_producer, true);
  sweep(try_reader, false);
  graph.remove_dead_nodes();
  return notes;
}

}  // namespace gridstep
