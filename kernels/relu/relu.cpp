#include "kernels/relu/relu.h"

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
  expect_tensor(in[0], DType::kF32, "x");
  expect_tensor(in[1], DType::kF32, "dy");
  expect_same_shape(in[0], in[1]);
  return {in[0]};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId x = node.inputs[0];
  const ValueId dy = builder.gradient(node.outputs[0]);
  builder.accumulate(x, builder.add_node(node.name + "/backward", relu_backward_op(), {}, {x, dy})[0]);
}

}  // namespace

ValueId relu(Graph& graph, std::string name, ValueId x) {
  return graph.add_node(std::move(name), relu_op(), {}, {x})[0];
}

const OpDef& relu_op() {
  static const OpDef op{.name = "relu", .infer = infer, .record_cpu = record_relu_cpu, .gradient = gradient};
  return op;
}

const OpDef& relu_backward_op() {
  static const OpDef op{.name = "relu_backward", .infer = infer_backward, .record_cpu = record_relu_backward_cpu};
  return op;
}

}  // namespace gridstep
