#include "engine/graph/graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/names.h"
#include "engine/graph/op.h"

namespace gridstep {

ValueId Graph::add_input(std::string name, ValueSpec spec, Storage storage) {
  GS_CHECK(find_value(name) == kNoValue, "the graph has two values named '{}'", name);
  values_.push_back({std::move(name), spec, storage});
  return static_cast<ValueId>(values_.size()) - 1;
}

ValueId Graph::add_parameter(ParameterInfo info) {
  const ValueId id = add_input(info.name, {info.shape, DType::kF32}, Storage::kParameter);
  value(id).parameter = static_cast<int>(parameters_.size());
  parameters_.push_back(std::move(info));
  return id;
}

std::vector<ValueId> Graph::add_node(std::string name, const OpDef& op, std::any attrs, std::vector<ValueId> inputs) {
  Node node{std::move(name), &op, std::move(attrs), std::move(inputs), {}};
  std::vector<ValueSpec> specs;
  std::vector<std::string> shapes;
  for (const ValueId id : node.inputs) {
    specs.push_back(id == kNoValue ? ValueSpec{} : spec(id));
    shapes.push_back(id == kNoValue ? "-" : spec(id).text());
  }
  std::vector<ValueSpec> out;
  try {
    out = op.infer(node, specs);
  } catch (const Error& error) {
    fail<ConfigError>("{} ({}): {}; inputs: {}", node.name, op.name, error.what(), join(shapes));
  }
  const auto index = static_cast<NodeId>(nodes_.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::string value_name = out.size() == 1 ? node.name : fmt::format("{}:{}", node.name, i);
    values_.push_back({std::move(value_name), out[i], Storage::kActivation, index});
    node.outputs.push_back(static_cast<ValueId>(values_.size()) - 1);
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs;
}

ValueId Graph::add_output(NodeId id, ValueSpec spec) {
  Node& self = node(id);
  values_.push_back({fmt::format("{}:{}", self.name, self.outputs.size()), spec, Storage::kActivation, id});
  self.outputs.push_back(static_cast<ValueId>(values_.size()) - 1);
  return self.outputs.back();
}

void Graph::mark_output(ValueId id) {
  GS_CHECK(value(id).storage == Storage::kActivation && value(id).producer >= 0, "value '{}' cannot become an output",
           value(id).name);
  value(id).storage = Storage::kOutput;
}

void Graph::remove_dead_nodes() {
  std::erase_if(nodes_, [](const Node& node) { return node.op == nullptr; });
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    for (const ValueId out : nodes_[n].outputs) value(out).producer = static_cast<NodeId>(n);
  }
}

ValueId Graph::find_value(std::string_view name) const {
  const auto it = std::find_if(values_.begin(), values_.end(), [&](const GraphValue& v) { return v.name == name; });
  return it == values_.end() ? kNoValue : static_cast<ValueId>(it - values_.begin());
}

std::vector<NodeId> Graph::readers(ValueId id) const {
  std::vector<NodeId> result;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (std::count(nodes_[n].inputs.begin(), nodes_[n].inputs.end(), id) > 0) result.push_back(static_cast<NodeId>(n));
  }
  return result;
}

}  // namespace gridstep
