// The static description of a computation: values (tensors) and nodes (operations on them).
//
// A graph is built once for given shapes, rewritten by passes, differentiated (backward.h), planned (planner.h) and
// recorded into a program (program.h). Nothing is computed here.
#pragma once

#include <any>
#include <string>
#include <vector>

#include "engine/tensor/tensor.h"

namespace gridstep {

struct OpDef;

using ValueId = int;
using NodeId = int;
constexpr ValueId kNoValue = -1;

enum class Storage {
  kActivation,  // in the arena, alive from its producer to its last reader
  kInput,       // written from outside before a run, alive during all of it; one per replica
  kShared,      // the same, but one for all replicas
  kOutput,      // produced by a node and read from outside after the run
  kParameter,   // in the parameter store: trained weights, and state such as calibrated steps
  kGradient,    // gradient of a trained parameter, in the parameter store
};

struct GraphValue {
  std::string name;
  ValueSpec spec;
  Storage storage = Storage::kActivation;
  NodeId producer = -1;
  int parameter = -1;  // index into the parameter table, for kParameter and kGradient
};

struct Node {
  std::string name;  // unique: "conv2", "conv2/backward_data"
  const OpDef* op = nullptr;
  std::any attrs;               // the op's own struct
  std::vector<ValueId> inputs;  // kNoValue marks an absent optional input
  std::vector<ValueId> outputs;
  // Runs before a program's first step only, and again when parameters are written from outside; in between, whoever
  // changes its inputs (the optimizer) writes its outputs too. Those that other nodes read are outputs of the graph.
  bool at_start = false;

  template <class A>
  const A& attrs_as() const {
    return std::any_cast<const A&>(attrs);
  }
};

// What a parameter is, so that optimizers, checkpoints and reports can treat it rightly.
enum class Role {
  kWeight,  // rank >= 2
  kBias,    // or another rank-1 weight: no weight decay unless asked for
  kStep,    // learned quantizer step: own learning-rate factor, no weight decay, no gradient clipping by units
  kState,   // not trained: calibrated steps, running statistics
};

struct ParameterInfo {
  std::string name;  // torch-like: "conv1.weight"
  Shape shape;       // convolution weights: (K, R, S, C), K output channels
  Role role = Role::kWeight;
  float init_std = 0.0f;  // normal initialisation; 0: filled with `init_value`
  float init_value = 0.0f;
  bool clip_units = true;  // adaptive gradient clipping applies (not to the head of a classifier)
  bool log_step = false;   // Role::kStep: the value is the step's logarithm
  std::string state = {};  // Role::kStep: the parameter that holds its calibrated value
};

class Graph {
 public:
  ValueId add_input(std::string name, ValueSpec spec, Storage storage = Storage::kInput);
  ValueId add_parameter(ParameterInfo info);  // f32
  // Adds a node and its output values, of the shapes the op infers. Errors name the node and its input shapes.
  std::vector<ValueId> add_node(std::string name, const OpDef& op, std::any attrs, std::vector<ValueId> inputs);
  // One more output of a node, named "<node>:<index>".
  ValueId add_output(NodeId node, ValueSpec spec);
  void mark_output(ValueId value);
  // Drops the nodes whose op is null (a pass has moved their work) and renumbers the others.
  void remove_dead_nodes();

  const std::vector<GraphValue>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ParameterInfo>& parameters() const { return parameters_; }
  GraphValue& value(ValueId id) { return values_[static_cast<std::size_t>(id)]; }
  const GraphValue& value(ValueId id) const { return values_[static_cast<std::size_t>(id)]; }
  Node& node(NodeId id) { return nodes_[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  const ValueSpec& spec(ValueId id) const { return value(id).spec; }

  ValueId find_value(std::string_view name) const;  // kNoValue when there is none
  std::vector<NodeId> readers(ValueId id) const;

 private:
  std::vector<GraphValue> values_;
  std::vector<Node> nodes_;
  std::vector<ParameterInfo> parameters_;
};

}  // namespace gridstep
