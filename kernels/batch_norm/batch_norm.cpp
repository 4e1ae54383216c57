#include "kernels/batch_norm/batch_norm.h"

#include "engine/graph/backward.h"
#include "kernels/batch_norm/norm_math.h"
#include "kernels/common/check.h"

namespace gridstep {
namespace {

void check_image(const Node& node, const ValueSpec& x) {
  const auto& a = node.attrs_as<BatchNormAttrs>();
  if (!(a.eps > 0.0f)) fail<ConfigError>("eps must be above 0, got {}", a.eps);
  if (!(a.momentum >= 0.0f && a.momentum <= 1.0f)) fail<ConfigError>("momentum must be in [0, 1], got {}", a.momentum);
  expect_tensor(x, DType::kF32, "x");
  expect_rank(x, 4, "x");
}

void check_channels(std::span<const ValueSpec> in, Index channels) {
  for (const ValueSpec& spec : in) {
    expect_tensor(spec, DType::kF32, "a parameter");
    if (spec.shape != Shape{channels}) fail<ConfigError>("{} channels have a parameter of {}", channels, spec.text());
  }
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 5);
  check_image(node, in[0]);
  check_channels(in.subspan(1), in[0].shape[3]);
  return {in[0], in[1], in[1]};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  expect_inputs(in, 5);
  check_image(node, in[0]);
  expect_same_shape(in[0], in[1]);
  check_channels(in.subspan(2), in[0].shape[3]);
  return {in[0], in[2], in[2]};
}

Bytes sums_bytes(std::span<const ValueSpec> in) {
  const Index channels = in[0].shape[3];
  return norm_blocks(in[0].shape.elements() / channels) * channels * static_cast<Bytes>(sizeof(NormSums));
}

Bytes workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  return node.attrs_as<BatchNormAttrs>().frozen ? 0 : sums_bytes(in);
}

Bytes workspace_backward(const Node&, std::span<const ValueSpec> in, DeviceKind) { return sums_bytes(in); }

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId x = node.inputs[0], gamma = node.inputs[1], beta = node.inputs[2];
  const auto out = builder.add_node(node.name + "/backward", batch_norm_backward_op(), node.attrs,
                                    {x, builder.gradient(node.outputs[0]), gamma, node.outputs[1], node.outputs[2]});
  if (builder.needs_gradient(x)) builder.accumulate(x, out[0]);
  builder.accumulate(gamma, out[1]);
  builder.accumulate(beta, out[2]);
}

}  // namespace

ValueId batch_norm(Graph& graph, std::string name, ValueId x, const BatchNormParameters& p, BatchNormAttrs attrs) {
  return graph.add_node(std::move(name), batch_norm_op(), attrs,
                        {x, p.gamma, p.beta, p.running_mean, p.running_var})[0];
}

const OpDef& batch_norm_op() {
  static const OpDef op{.name = "batch_norm",
                        .infer = infer,
                        .workspace = workspace,
                        .record_cpu = record_batch_norm_cpu,
                        .gradient = gradient};
  return op;
}

const OpDef& batch_norm_backward_op() {
  static const OpDef op{.name = "batch_norm_backward",
                        .infer = infer_backward,
                        .workspace = workspace_backward,
                        .record_cpu = record_batch_norm_backward_cpu};
  return op;
}

}  // namespace gridstep
