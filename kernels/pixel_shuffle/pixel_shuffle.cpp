#include "kernels/pixel_shuffle/pixel_shuffle.h"

#include <limits>

#include "engine/graph/backward.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

int checked_upscale(const Node& node, const ValueSpec& spec, std::string_view what) {
  const int r = node.attrs_as<PixelShuffleAttrs>().upscale;
  if (r < 1) fail<ConfigError>("the upscale factor must be at least 1, got {}", r);
  expect_tensor(spec, DType::kF32, what);
  expect_rank(spec, 4, what);
  if (spec.shape.elements() > std::numeric_limits<std::int32_t>::max())
    fail<ConfigError>("{} has 2^31 elements or more", what);
  return r;
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  const int r = checked_upscale(node, in[0], "x");
  const Index squared = Index{r} * r;
  const Shape& s = in[0].shape;
  if (s[3] % squared != 0)
    fail<ConfigError>("channels {} are not divisible by the squared upscale factor {}", s[3], squared);
  return {{Shape{s[0], s[1] * r, s[2] * r, s[3] / squared}, DType::kF32}};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 1);
  const int r = checked_upscale(node, in[0], "dy");
  const Shape& s = in[0].shape;
  if (s[1] % r != 0 || s[2] % r != 0)
    fail<ConfigError>("height and width of dy are not divisible by the upscale factor {}", r);
  return {{Shape{s[0], s[1] / r, s[2] / r, s[3] * r * r}, DType::kF32}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId dy = builder.gradient(node.outputs[0]);
  builder.accumulate(node.inputs[0],
                     builder.add_node(node.name + "/backward", pixel_shuffle_backward_op(), node.attrs, {dy})[0]);
}

}  // namespace

ValueId pixel_shuffle(Graph& graph, std::string name, ValueId x, PixelShuffleAttrs attrs) {
  return graph.add_node(std::move(name), pixel_shuffle_op(), attrs, {x})[0];
}

const OpDef& pixel_shuffle_op() {
  static const OpDef op{
      .name = "pixel_shuffle", .infer = infer, .record_cpu = record_pixel_shuffle_cpu, .gradient = gradient};
  return op;
}

const OpDef& pixel_shuffle_backward_op() {
  static const OpDef op{
      .name = "pixel_shuffle_backward", .infer = infer_backward, .record_cpu = record_pixel_shuffle_backward_cpu};
  return op;
}

}  // namespace gridstep
