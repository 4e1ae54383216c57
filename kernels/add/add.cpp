#include "kernels/add/add.h"

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node&, std::span<const ValueSpec> in) {
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "a");
  expect_tensor(in[1], DType::kF32, "b");
  expect_same_shape(in[0], in[1]);
  return {in[0]};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dz = builder.gradient(node.outputs[0]);
  for (const ValueId input : node.inputs) {
    if (builder.needs_gradient(input)) builder.accumulate(input, dz);
  }
}

}  // namespace

ValueId add(Graph& graph, std::string name, ValueId a, ValueId b) {
  return graph.add_node(std::move(name), add_op(), {}, {a, b})[0];
}

const OpDef& add_op() {
  static const OpDef op{.name = "add", .infer = infer, .record_cpu = record_add_cpu, .gradient = gradient};
  return op;
}

}  // namespace gridstep
