#include "kernels/quantize/quantize.h"

#include "engine/graph/backward.h"
#include "kernels/quantize/quantize_launch.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"

namespace gridstep {
namespace {

void check_inputs(const QuantizeAttrs& attrs, std::span<const ValueSpec> in) {
  const Shape& x = in[0].shape;
  GS_CHECK(in[0].dtype == DType::kF32, "wants f32 values, not {}", in[0].text());
  GS_CHECK(x.rank() >= 1, "wants at least one axis");
  const Index steps = attrs.per_channel ? x[0] : 1;
  const ValueSpec wanted{{steps}, DType::kF32};
  GS_CHECK(in[1] == wanted && in[2] == wanted, "wants step parameters and calibrated steps {}", wanted.text());
  GS_CHECK(attrs.range.p >= 1 && attrs.range.n < attrs.range.p && attrs.range.n <= 0,
           "codes [{}, {}] are not a usable range", attrs.range.n, attrs.range.p);
  GS_CHECK(attrs.range.n >= 0 ? attrs.range.p <= 255 : attrs.range.n >= -128 && attrs.range.p <= 127,
           "codes [{}, {}] do not fit 8 bits", attrs.range.n, attrs.range.p);
}

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<QuantizeAttrs>();
  check_inputs(attrs, in);
  return {{in[0].shape, attrs.fake ? DType::kF32 : attrs.code_type()}, in[1]};
}

std::vector<ValueSpec> infer_backward(const Node& node, std::span<const ValueSpec> in) {
  check_inputs(node.attrs_as<QuantizeAttrs>(), in);
  GS_CHECK(in[3].shape == in[0].shape && in[3].dtype == DType::kF32, "wants a gradient of the shape of x");
  return {in[0], in[1]};
}

Bytes workspace_backward(const Node& node, std::span<const ValueSpec> in, DeviceKind device) {
  const auto& attrs = node.attrs_as<QuantizeAttrs>();
  return quantize_partial_count(attrs, in[0].shape, device) * static_cast<Bytes>(sizeof(double));
}

void gradient(GradientBuilder& builder, const Node& node) {
  const ValueId g = builder.gradient(node.outputs[0]);
  const auto d = builder.add_node(node.name + "/backward", quantize_backward_op(), node.attrs,
                                  {node.inputs[0], node.inputs[1], node.inputs[2], g});
  if (builder.needs_gradient(node.inputs[0])) builder.accumulate(node.inputs[0], d[0]);
  builder.accumulate(node.inputs[1], d[1]);
}

bool absorb_activation(Node& self, const Node& producer) {
  auto& attrs = std::any_cast<QuantizeAttrs&>(self.attrs);
  if (attrs.activation != FusedActivation::kNone) return false;
  if (producer.op == &relu_op()) {
    attrs.activation = FusedActivation::kRelu;
  } else if (producer.op == &tanh_op()) {
    attrs.activation = FusedActivation::kTanh;
  } else {
    return false;
  }
  return true;
}

}  // namespace

const OpDef& quantize_op() {
  static const OpDef op{.name = "quantize",
                        .infer = infer,
                        .record_cpu = record_quantize_cpu,
                        .gradient = gradient,
                        .absorb_producer = absorb_activation};
  return op;
}

const OpDef& quantize_backward_op() {
  static const OpDef op{.name = "quantize_backward",
                        .infer = infer_backward,
                        .workspace = workspace_backward,
                        .record_cpu = record_quantize_backward_cpu,
                        .droppable_outputs = 1u};
  return op;
}

QuantizedValue quantize(Graph& graph, const std::string& name, ValueId x, ValueId parameter, ValueId s0,
                        const QuantizeAttrs& attrs) {
  const auto out = graph.add_node(name, quantize_op(), attrs, {x, parameter, s0});
  return {out[0], out[1]};
}

}  // namespace gridstep
