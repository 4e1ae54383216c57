#include "kernels/tanh/tanh.h"

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node&, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kF32, "x");
  return {in[0]};
}

std::vector<ValueSpec> infer_backward(const Node&, std::span<const ValueSpec> in) {
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "y");
  expect_tensor(in[1], DType::kF32, "dy");
  expect_same_shape(in[0], in[1]);
  return {in[0]};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId y = node.outputs[0];
  const ValueId dy = builder.gradient(y);
  builder.accumulate(node.inputs[0], builder.add_node(node.name + "/backward", tanh_backward_op(), {}, {y, dy})[0]);
}

}  // namespace

ValueId tanh(Graph& graph, std::string name, ValueId x) {
  return graph.add_node(std::move(name), tanh_op(), {}, {x})[0];
}

const OpDef& tanh_op() {
  static const OpDef op{.name = "tanh", .infer = infer, .record_cpu = record_tanh_cpu, .gradient = gradient};
  return op;
}

const OpDef& tanh_backward_op() {
  static const OpDef op{.name = "tanh_backward", .infer = infer_backward, .record_cpu = record_tanh_backward_cpu};
  return op;
}

}  // namespace gridstep
