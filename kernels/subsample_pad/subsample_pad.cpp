#include "kernels/subsample_pad/subsample_pad.h"

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

void check_image(const Node& node, const ValueSpec& x, const char* name) {
  const auto& a = node.attrs_as<SubsamplePadAttrs>();
  expect_tensor(x, DType::kF32, name);
  expect_rank(x, 4, name);
  if (a.stride < 1) fail<ConfigError>("the stride must be at least 1, got {}", a.stride);
  if (a.before < 0 || a.after < 0) fail<ConfigError>("{} and {} zero channels", a.before, a.after);
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  check_image(node, in[0], "x");
  const auto& a = node.attrs_as<SubsamplePadAttrs>();
  const Shape& x = in[0].shape;
  return {{Shape{x[0], (x[1] + a.stride - 1) / a.stride, (x[2] + a.stride - 1) / a.stride, a.before + x[3] + a.after},
           DType::kF32}};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  check_image(node, in[0], "dy");
  const auto& a = node.attrs_as<SubsamplePadAttrs>();
  const Shape& dy = in[0].shape;
  const Index channels = dy[3] - a.before - a.after;
  if (channels < 1 || (a.height + a.stride - 1) / a.stride != dy[1] || (a.width + a.stride - 1) / a.stride != dy[2]) {
    fail<ConfigError>("dy {} is not of an image of {} x {} pixels at stride {}", in[0].text(), a.height, a.width,
                      a.stride);
  }
  return {{Shape{dy[0], a.height, a.width, channels}, DType::kF32}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  auto attrs = node.attrs_as<SubsamplePadAttrs>();
  const Shape& x = builder.graph().spec(node.inputs[0]).shape;
  attrs.height = x[1];
  attrs.width = x[2];
  builder.accumulate(node.inputs[0], builder.add_node(node.name + "/backward", subsample_pad_backward_op(), attrs,
                                                      {builder.gradient(node.outputs[0])})[0]);
}

}  // namespace

SubsampleShape subsample_shape(const Shape& x, const Shape& y, const SubsamplePadAttrs& attrs) {
  return {x[1], x[2], x[3], y[1], y[2], y[3], attrs.stride, attrs.before};
}

ValueId subsample_pad(Graph& graph, std::string name, ValueId x, const SubsamplePadAttrs& attrs) {
  return graph.add_node(std::move(name), subsample_pad_op(), attrs, {x})[0];
}

const OpDef& subsample_pad_op() {
  static const OpDef op{
      .name = "subsample_pad", .infer = infer, .record_cpu = record_subsample_pad_cpu, .gradient = gradient};
  return op;
}

const OpDef& subsample_pad_backward_op() {
  static const OpDef op{
      .name = "subsample_pad_backward", .infer = infer_backward, .record_cpu = record_subsample_pad_backward_cpu};
  return op;
}

}  // namespace gridstep
