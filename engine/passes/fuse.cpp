#include "engine/passes/fuse.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/graph/op.h"

namespace gridstep {
namespace {

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph) {}

  std::vector<FusionNote> run() {
    const auto count = static_cast<NodeId>(graph_.nodes().size());
    for (NodeId n = 0; n < count; ++n) {
      if (const NodeId reader = is_live(n) ? sole_reader(n) : -1; reader >= 0) try_producer(n, reader);
    }
    for (NodeId n = 0; n < count; ++n) {
      while (is_live(n) && try_readers(n)) {
      }
    }
    for (NodeId n = 0; n < count; ++n) {
      if (is_live(n)) try_extend(n);
    }
    std::erase_if(notes_, [&](const FusionNote& note) { return !note.refusal.empty() && !find_live(note.absorbed); });
    graph_.remove_dead_nodes();
    explain_rest();
    return std::move(notes_);
  }

 private:
  bool is_live(NodeId n) const { return graph_.node(n).op != nullptr; }

  // The only reader of all that a node produces; -1 when there is none or several, or one outside the graph.
  NodeId sole_reader(NodeId n) const {
    NodeId reader = -1;
    for (const ValueId out : graph_.node(n).outputs) {
      if (graph_.value(out).storage != Storage::kActivation) return -1;
      for (const NodeId r : graph_.readers(out)) {
        if (reader >= 0 && r != reader) return -1;
        reader = r;
      }
    }
    return reader;
  }

  // `reader` takes over the inputs of its first operand's producer.
  void try_producer(NodeId producer, NodeId reader) {
    Node& self = graph_.node(reader);
    Node& victim = graph_.node(producer);
    if (self.op->absorb_producer == nullptr || self.inputs[0] != victim.outputs[0]) return;
    if (!self.op->absorb_producer(self, victim)) return;
    self.inputs[0] = victim.inputs[0];
    for (const ValueId out : victim.outputs) graph_.value(out).producer = -1;
    notes_.push_back({self.name, victim.name});
    victim = Node{};
  }

  bool try_readers(NodeId n) {
    if (graph_.node(n).op->absorb_reader == nullptr) return false;
    const NodeId sole = sole_reader(n);
    for (const NodeId reader : graph_.readers(graph_.node(n).outputs[0])) {
      if (try_reader(n, reader, reader == sole)) return true;
    }
    return false;
  }

  // `node` takes over its reader's outputs and its other inputs. Where nobody else reads it, it moves to the reader's
  // place: the other inputs may be made between the two.
  bool try_reader(NodeId node, NodeId reader, bool sole) {
    Node self = graph_.node(node);
    const Node victim = graph_.node(reader);
    std::vector<ValueId> others = victim.inputs;
    others.erase(std::find(others.begin(), others.end(), self.outputs[0]));
    if (std::count(others.begin(), others.end(), self.outputs[0]) > 0) return false;
    const Fusion fusion = self.op->absorb_reader(self, victim, sole);
    if (fusion.kind == Fusion::Kind::kNo) {
      if (!fusion.reason.empty() && !has_refusal(victim.name)) {
        notes_.push_back({self.name, victim.name, std::string(fusion.reason)});
      }
      return false;
    }
    if (fusion.kind == Fusion::Kind::kReplaces) {
      GS_CHECK(sole && victim.outputs.size() == 1, "{}: {} cannot be replaced", self.name, victim.name);
      graph_.value(self.outputs[0]).producer = -1;
      self.outputs[0] = victim.outputs[0];
    } else {
      self.outputs.insert(self.outputs.end(), victim.outputs.begin(), victim.outputs.end());
    }
    self.inputs.insert(self.inputs.end(), others.begin(), others.end());
    notes_.push_back({self.name, victim.name});
    const NodeId place = sole ? reader : node;
    graph_.node(node) = graph_.node(reader) = Node{};
    for (const ValueId out : self.outputs) graph_.value(out).producer = place;
    graph_.node(place) = std::move(self);
    return true;
  }

  void try_extend(NodeId n) {
    Node& self = graph_.node(n);
    if (self.op->extend_producer == nullptr) return;
    const NodeId producer = graph_.value(self.inputs[0]).producer;
    if (producer < 0 || graph_.node(producer).outputs[0] != self.inputs[0]) return;
    std::vector<ValueSpec> in;
    for (const ValueId id : self.inputs) in.push_back(id == kNoValue ? ValueSpec{} : graph_.spec(id));
    ValueSpec spec;
    if (!self.op->extend_producer(self, graph_.node(producer), in, spec)) return;
    const ValueId extra = graph_.add_output(producer, spec);
    graph_.node(n).inputs.push_back(extra);
    notes_.push_back({graph_.node(producer).name, graph_.node(n).name + " (sums)"});
  }

  // Nodes that look for a producer to join and read one that takes nobody in.
  void explain_rest() {
    for (const Node& node : graph_.nodes()) {
      const NodeId producer =
          node.inputs.empty() || node.inputs[0] == kNoValue ? -1 : graph_.value(node.inputs[0]).producer;
      if (node.op->absorb_producer == nullptr || producer < 0 || has_refusal(node.name)) continue;
      const Node& other = graph_.node(producer);
      notes_.push_back({other.name, node.name, fmt::format("{} takes no {} in", other.op->name, node.op->name)});
    }
  }

  bool find_live(const std::string& name) const {
    return std::any_of(graph_.nodes().begin(), graph_.nodes().end(),
                       [&](const Node& node) { return node.op != nullptr && node.name == name; });
  }
  bool has_refusal(const std::string& name) const {
    return std::any_of(notes_.begin(), notes_.end(),
                       [&](const FusionNote& note) { return note.absorbed == name && !note.refusal.empty(); });
  }

  Graph& graph_;
  std::vector<FusionNote> notes_;
};

}  // namespace

std::vector<FusionNote> fuse(Graph& graph) { return Fuser(graph).run(); }

}  // namespace gridstep
