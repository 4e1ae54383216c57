#include "kernels/global_avg_pool/global_avg_pool.h"

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

std::vector<ValueSpec> infer(const Node&, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kF32, "x");
  expect_rank(in[0], 4, "x");
  return {{Shape{in[0].shape[0], 1, 1, in[0].shape[3]}, DType::kF32}};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kF32, "dy");
  expect_rank(in[0], 4, "dy");
  const auto& to = node.attrs_as<GlobalAvgPoolBackwardAttrs>();
  if (in[0].shape[1] != 1 || in[0].shape[2] != 1) fail<ConfigError>("dy must have one pixel, got {}", in[0].text());
  if (to.height < 1 || to.width < 1) fail<ConfigError>("no image of {} x {} pixels", to.height, to.width);
  return {{Shape{in[0].shape[0], to.height, to.width, in[0].shape[3]}, DType::kF32}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const Shape& x = builder.graph().spec(node.inputs[0]).shape;
  const GlobalAvgPoolBackwardAttrs attrs{x[1], x[2]};
  builder.accumulate(node.inputs[0], builder.add_node(node.name + "/backward", global_avg_pool_backward_op(), attrs,
                                                      {builder.gradient(node.outputs[0])})[0]);
}

}  // namespace

ValueId global_avg_pool(Graph& graph, std::string name, ValueId x) {
  return graph.add_node(std::move(name), global_avg_pool_op(), {}, {x})[0];
}

const OpDef& global_avg_pool_op() {
  static const OpDef op{
      .name = "global_avg_pool", .infer = infer, .record_cpu = record_global_avg_pool_cpu, .gradient = gradient};
  return op;
}

const OpDef& global_avg_pool_backward_op() {
  static const OpDef op{
      .name = "global_avg_pool_backward", .infer = infer_backward, .record_cpu = record_global_avg_pool_backward_cpu};
  return op;
}

}  // namespace gridstep
