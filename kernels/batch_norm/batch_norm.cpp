#include "kernels/batch_norm/batch_norm.h"

#include "engine/graph/backward.h"
#include "kernels/add/add.h"
#include "kernels/batch_norm/norm_sums.h"
#include "kernels/common/check.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/relu/relu.h"

namespace gridstep {
namespace {

enum Input { kX, kGamma, kBeta, kMean, kVar, kFirstFused };
enum BackwardInput { kBackX, kBackGamma, kBackBeta, kBackMean, kBackInvStd, kDy, kY, kG, kParameter, kS0, kBackInputs };

// Places of the inputs that fusion brings.
std::size_t quantizer_at(const BatchNormAttrs& attrs) { return kFirstFused + (attrs.add ? 1u : 0u); }
std::size_t sums_at(const BatchNormAttrs& attrs) { return quantizer_at(attrs) + (attrs.quantize ? 2u : 0u); }

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

void check_quantizer(const BatchNormAttrs& attrs, std::span<const ValueSpec> steps) {
  for (const ValueSpec& spec : steps) {
    if (spec != ValueSpec{{1}, DType::kF32}) fail<ConfigError>("the quantizer wants one step, got {}", spec.text());
  }
  GS_CHECK(!attrs.quantize->per_channel && attrs.quantize->activation == FusedActivation::kNone,
           "a fused quantizer has one step and no activation of its own");
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<BatchNormAttrs>();
  expect_inputs(in, sums_at(attrs) + (attrs.sums_given ? 1 : 0));
  check_image(node, in[kX]);
  check_channels(in.subspan(kGamma, 4), in[kX].shape[3]);
  if (attrs.add) expect_same_shape(in[kX], in[kFirstFused]);
  if (attrs.sums_given && in.back() != norm_sums_spec(in[kX].shape))
    fail<ConfigError>("sums of blocks of pixels must be {}", norm_sums_spec(in[kX].shape).text());
  std::vector<ValueSpec> out{in[kX], in[kGamma], in[kGamma]};
  if (!attrs.quantize) return out;
  check_quantizer(attrs, in.subspan(quantizer_at(attrs), 2));
  out.push_back({in[kX].shape, attrs.quantize->fake ? DType::kF32 : attrs.quantize->code_type()});
  out.push_back({{1}, DType::kF32});
  return out;
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<BatchNormAttrs>();
  expect_inputs(in, kBackInputs);
  check_image(node, in[kBackX]);
  check_channels(in.subspan(kBackGamma, 4), in[kBackX].shape[3]);
  for (const int gradient : {kDy, kY, kG}) {
    const auto i = static_cast<std::size_t>(gradient);
    if (node.inputs[i] != kNoValue) expect_same_shape(in[kBackX], in[i]);
  }
  GS_CHECK(node.inputs[attrs.quantize ? kG : kDy] != kNoValue, "there is no gradient");
  if (attrs.quantize) check_quantizer(attrs, in.subspan(kParameter, 2));
  const ValueSpec none{{0}, DType::kF32};
  return {in[kBackX], in[kBackGamma], in[kBackGamma], attrs.add ? in[kBackX] : none,
          attrs.quantize ? ValueSpec{{1}, DType::kF32} : none};
}

Bytes workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const auto& attrs = node.attrs_as<BatchNormAttrs>();
  return attrs.frozen || attrs.sums_given ? 0 : norm_sums_spec(in[kX].shape).bytes();
}

// Sums of all blocks, and those of the step's gradient.
Bytes workspace_backward(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const Bytes sums = norm_sums_spec(in[kBackX].shape).bytes();
  return node.attrs_as<BatchNormAttrs>().quantize ? align_up(sums) + sums / 2 : sums;
}

void gradient(GradientBuilder& builder, const Node& node) {
  const auto& attrs = node.attrs_as<BatchNormAttrs>();
  const auto at = [&](std::size_t i) { return node.inputs[i]; };
  std::vector<ValueId> inputs(kBackInputs, kNoValue);
  inputs[kBackX] = at(kX);
  inputs[kBackGamma] = at(kGamma);
  inputs[kBackBeta] = at(kBeta);
  inputs[kBackMean] = node.outputs[1];
  inputs[kBackInvStd] = node.outputs[2];
  inputs[kDy] = builder.gradient(node.outputs[0]);
  if (attrs.add) inputs[kY] = node.outputs[0];
  if (attrs.quantize) {
    inputs[kG] = builder.gradient(node.outputs[3]);
    inputs[kParameter] = at(quantizer_at(attrs));
    inputs[kS0] = at(quantizer_at(attrs) + 1);
  }
  const auto out = builder.add_node(node.name + "/backward", batch_norm_backward_op(), node.attrs, inputs);
  if (builder.needs_gradient(at(kX))) builder.accumulate(at(kX), out[0]);
  builder.accumulate(at(kGamma), out[1]);
  builder.accumulate(at(kBeta), out[2]);
  if (attrs.add && builder.needs_gradient(at(kFirstFused))) builder.accumulate(at(kFirstFused), out[3]);
  if (attrs.quantize) builder.accumulate(at(quantizer_at(attrs)), out[4]);
}

Fusion absorb_quantizer(BatchNormAttrs& attrs, QuantizeAttrs quantizer, bool sole) {
  if (attrs.quantize) return {.reason = "one quantizer in a pass"};
  if (quantizer.per_channel) return {.reason = "its steps would be those of samples"};
  if (quantizer.activation == FusedActivation::kRelu) {
    if (!sole) return {.reason = "others read the values before its ReLU"};
    attrs.relu = true;
    quantizer.activation = FusedActivation::kNone;
  }
  if (quantizer.activation != FusedActivation::kNone) return {.reason = "only a ReLU is joined"};
  attrs.quantize = quantizer;
  return {Fusion::Kind::kAdds};
}

Fusion absorb(Node& self, const Node& reader, bool sole) {
  auto& attrs = std::any_cast<BatchNormAttrs&>(self.attrs);
  if (reader.op == &quantize_op()) return absorb_quantizer(attrs, reader.attrs_as<QuantizeAttrs>(), sole);
  const bool is_add = reader.op == &add_op();
  if (!is_add && reader.op != &relu_op()) return {};
  if (attrs.quantize || attrs.relu) return {};
  if (!sole) return {.reason = "others read the values before it"};
  if (is_add && attrs.add) return {.reason = "one addition in a pass"};
  (is_add ? attrs.add : attrs.relu) = true;
  return {Fusion::Kind::kReplaces};
}

// The convolution sums up what it writes.
bool ask_for_sums(Node& self, Node& producer, std::span<const ValueSpec> in, ValueSpec& spec) {
  auto& attrs = std::any_cast<BatchNormAttrs&>(self.attrs);
  if (attrs.frozen || attrs.sums_given || producer.op != &conv2d_op()) return false;
  auto& conv = std::any_cast<Conv2dAttrs&>(producer.attrs);
  if (conv.quantize || conv.norm_sums) return false;
  conv.norm_sums = attrs.sums_given = true;
  spec = norm_sums_spec(in[kX].shape);
  return true;
}

Tensor part_of(const Tensor& memory, Bytes offset, const Shape& shape) {
  return {memory.data + offset, shape, DType::kF64, memory.replica_stride};
}

}  // namespace

ValueSpec norm_sums_spec(const Shape& x) { return {{norm_blocks(x.elements() / x[3]), x[3], 2}, DType::kF64}; }

NormTensors norm_tensors(const BoundNode& node) {
  const auto& attrs = node.attrs<BatchNormAttrs>();
  NormTensors t;
  t.x = node.in[kX];
  t.gamma = node.in[kGamma];
  t.beta = node.in[kBeta];
  t.running_mean = node.in[kMean];
  t.running_var = node.in[kVar];
  if (attrs.add) t.residual = node.in[kFirstFused];
  t.y = node.out[0];
  t.mean = node.out[1];
  t.inv_std = node.out[2];
  if (attrs.quantize) {
    t.parameter = node.in[quantizer_at(attrs)];
    t.codes = node.out[3];
    t.step = node.out[4];
  }
  if (attrs.sums_given) {
    t.sums = node.in[sums_at(attrs)];
  } else if (!attrs.frozen) {
    t.sums = part_of(node.workspace, 0, norm_sums_spec(t.x.shape).shape);
  }
  return t;
}

NormBackwardTensors norm_backward_tensors(const BoundNode& node) {
  NormBackwardTensors t;
  t.x = node.in[kBackX];
  t.gamma = node.in[kBackGamma];
  t.beta = node.in[kBackBeta];
  t.mean = node.in[kBackMean];
  t.inv_std = node.in[kBackInvStd];
  t.dy = node.in[kDy];
  t.y = node.in[kY];
  t.g = node.in[kG];
  t.parameter = node.in[kParameter];
  t.s0 = node.in[kS0];
  t.dx = node.out[0];
  t.dgamma = node.out[1];
  t.dbeta = node.out[2];
  const auto& attrs = node.attrs<BatchNormAttrs>();
  if (attrs.add) t.dresidual = node.out[3];
  const ValueSpec sums = norm_sums_spec(t.x.shape);
  t.sums = part_of(node.workspace, 0, sums.shape);
  if (attrs.quantize) {
    t.dparameter = node.out[4];
    t.step_sums = part_of(node.workspace, align_up(sums.bytes()), {sums.shape[0], sums.shape[1]});
  }
  return t;
}

ValueId batch_norm(Graph& graph, std::string name, ValueId x, const BatchNormParameters& p, BatchNormAttrs attrs) {
  return graph.add_node(std::move(name), batch_norm_op(), attrs,
                        {x, p.gamma, p.beta, p.running_mean, p.running_var})[0];
}

const OpDef& batch_norm_op() {
  static const OpDef op{.name = "batch_norm",
                        .infer = infer,
                        .workspace = workspace,
                        .record_cpu = record_batch_norm_cpu,
                        .gradient = gradient,
                        .absorb_reader = absorb,
                        .extend_producer = ask_for_sums,
                        .droppable_outputs = 1u};
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
