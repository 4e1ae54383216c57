#include "kernels/max_pool/max_pool.h"

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

const MaxPoolAttrs& checked(const Node& node) {
  const auto& a = node.attrs_as<MaxPoolAttrs>();
  constexpr int kLargest = 16;  // places are bytes
  if (a.window < 1 || a.window > kLargest) fail<ConfigError>("a window of {} is not in 1 .. {}", a.window, kLargest);
  if (a.stride < 1) fail<ConfigError>("the stride must be at least 1, got {}", a.stride);
  if (a.pad < 0 || a.pad > a.window / 2) fail<ConfigError>("a padding of {} is not in 0 .. {}", a.pad, a.window / 2);
  return a;
}

Index padded(Index size, const MaxPoolAttrs& a) { return size + 2 * Index{a.pad}; }

Index windows(Index size, const MaxPoolAttrs& a) { return (padded(size, a) - a.window) / a.stride + 1; }

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  const MaxPoolAttrs& a = checked(node);
  expect_inputs(in, 1);
  expect_tensor(in[0], DType::kF32, "x");
  expect_rank(in[0], 4, "x");
  const Shape& x = in[0].shape;
  if (padded(x[1], a) < a.window || padded(x[2], a) < a.window) {
    fail<ConfigError>("a window of {} does not fit into {}", a.window, in[0].text());
  }
  const Shape y{x[0], windows(x[1], a), windows(x[2], a), x[3]};
  return {{y, DType::kF32}, {y, DType::kU8}};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  const MaxPoolAttrs& a = checked(node);
  expect_inputs(in, 2);
  expect_tensor(in[0], DType::kF32, "dy");
  expect_tensor(in[1], DType::kU8, "the places");
  expect_rank(in[0], 4, "dy");
  expect_same_shape(in[0], in[1]);
  const Shape& y = in[0].shape;
  if (windows(a.height, a) != y[1] || windows(a.width, a) != y[2]) {
    fail<ConfigError>("{} is not what {} x {} pixels are pooled to", in[0].text(), a.height, a.width);
  }
  return {{Shape{y[0], a.height, a.width, y[3]}, DType::kF32}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const Shape& x = builder.graph().spec(node.inputs[0]).shape;
  MaxPoolAttrs attrs = node.attrs_as<MaxPoolAttrs>();
  attrs.height = x[1];
  attrs.width = x[2];
  builder.accumulate(node.inputs[0], builder.add_node(node.name + "/backward", max_pool_backward_op(), attrs,
                                                      {builder.gradient(node.outputs[0]), node.outputs[1]})[0]);
}

}  // namespace

ValueId max_pool(Graph& graph, std::string name, ValueId x, MaxPoolAttrs attrs) {
  return graph.add_node(std::move(name), max_pool_op(), attrs, {x})[0];
}

const OpDef& max_pool_op() {
  static const OpDef op{.name = "max_pool", .infer = infer, .record_cpu = record_max_pool_cpu, .gradient = gradient};
  return op;
}

const OpDef& max_pool_backward_op() {
  static const OpDef op{
      .name = "max_pool_backward", .infer = infer_backward, .record_cpu = record_max_pool_backward_cpu};
  return op;
}

}  // namespace gridstep
