#include "kernels/conv2d/conv2d.h"

#include "engine/graph/backward.h"
#include "kernels/add/add.h"
#include "kernels/conv2d/conv2d_launch.h"
#include "kernels/relu/relu.h"

namespace gridstep {
namespace {

enum Input { kX, kW, kBias, kXStep, kWStep, kFirstFused };

std::size_t quantizer_at(const Conv2dAttrs& attrs) { return kFirstFused + (attrs.add ? 1u : 0u); }

bool is_code(DType type) { return type == DType::kU8 || type == DType::kS8; }

std::vector<ValueSpec> infer(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const Shape &x = in[kX].shape, &w = in[kW].shape;
  GS_CHECK(x.rank() == 4 && w.rank() == 4, "wants x (N, H, W, C) and w (K, R, S, C)");
  GS_CHECK(x[3] == w[3], "x has {} channels, the filter {}", x[3], w[3]);
  const ValueSpec bias{{w[0]}, DType::kF32};
  GS_CHECK(node.inputs[kBias] == kNoValue || in[kBias] == bias, "wants a bias of {} f32 values", w[0]);
  GS_CHECK(attrs.stride >= 1 && attrs.pad >= 0, "wants a stride of at least 1 and no negative padding, not {} and {}",
           attrs.stride, attrs.pad);
  const ConvGeometry g = conv_geometry(x, w, attrs.stride, attrs.pad);
  GS_CHECK(g.h + 2 * g.pad >= g.r && g.w + 2 * g.pad >= g.s,
           "the {}x{} filter does not fit the {}x{} input with padding {}", g.r, g.s, g.h, g.w, g.pad);
  if (is_code(in[kX].dtype)) {
    GS_CHECK(in[kW].dtype == DType::kS8, "codes of x want s8 codes of w");
    const auto steps = [&](Input i) { return in[i].shape.rank() == 1 ? in[i].shape[0] : 0; };  // absent: rank 0
    GS_CHECK(steps(kXStep) == 1 && (steps(kWStep) == 1 || steps(kWStep) == g.k),
             "wants one step for x, and one or {} for w", g.k);
  } else {
    GS_CHECK(in[kX].dtype == DType::kF32 && in[kW].dtype == DType::kF32, "x and w must both be f32 or both codes");
  }
  return {{{g.n, g.p, g.q, g.k}, DType::kF32}};
}

std::vector<ValueSpec> infer_data(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  return {{{in[0].shape[0], attrs.input_height, attrs.input_width, in[1].shape[3]}, DType::kF32}};
}

std::vector<ValueSpec> infer_weight(const Node&, std::span<const ValueSpec> in) {
  return {{in[2].shape, DType::kF32}, {{in[2].shape[0]}, DType::kF32}};
}

void gradient(GradientBuilder& builder, const Node& node) {
  auto attrs = node.attrs_as<Conv2dAttrs>();
  GS_CHECK(!attrs.inference, "{} is part of a graph for inference: it has no gradient", node.name);
  ValueId dy = builder.gradient(node.outputs[0]);
  if (attrs.quantize) {  // first back through the fused quantizer, from the stored y
    const auto d = builder.add_node(
        node.name + "/quantize_backward", quantize_backward_op(), *attrs.quantize,
        {node.outputs[0], node.inputs[kFirstFused], node.inputs[kFirstFused + 1], builder.gradient(node.outputs[1])});
    GS_CHECK(dy == kNoValue, "{}: the output of a fused convolution has a second reader", node.name);
    dy = d[0];
    builder.accumulate(node.inputs[kFirstFused], d[1]);
    attrs.quantize.reset();
  }
  const Shape& x = builder.graph().spec(node.inputs[kX]).shape;
  attrs.input_height = x[1];
  attrs.input_width = x[2];
  const auto dw = builder.add_node(node.name + "/backward_weight", conv2d_backward_weight_op(), attrs,
                                   {node.inputs[kX], dy, node.inputs[kW], node.inputs[kXStep]});
  builder.accumulate(node.inputs[kW], dw[0]);
  if (node.inputs[kBias] != kNoValue) builder.accumulate(node.inputs[kBias], dw[1]);
  if (!builder.needs_gradient(node.inputs[kX])) return;
  const auto dx = builder.add_node(node.name + "/backward_data", conv2d_backward_data_op(), attrs,
                                   {dy, node.inputs[kW], node.inputs[kWStep]});
  builder.accumulate(node.inputs[kX], dx[0]);
}

Fusion absorb_quantizer(Conv2dAttrs& attrs, const QuantizeAttrs& quantizer, bool sole) {
  if (attrs.quantize) return {.reason = "one quantizer in a pass"};
  if (quantizer.per_channel) return {.reason = "its steps would be those of samples"};  // the leading axis of y
  if (!sole && !attrs.inference) return {.reason = "others read the values as well"};
  attrs.quantize = quantizer;
  return {Fusion::Kind::kAdds};
}

Fusion absorb(Node& self, const Node& reader, bool sole) {
  auto& attrs = std::any_cast<Conv2dAttrs&>(self.attrs);
  if (attrs.norm_sums) return {};
  if (reader.op == &quantize_op()) return absorb_quantizer(attrs, reader.attrs_as<QuantizeAttrs>(), sole);
  const bool is_add = reader.op == &add_op();
  if (!attrs.inference || (!is_add && reader.op != &relu_op()) || attrs.quantize || attrs.relu) return {};
  if (!sole) return {.reason = "others read the values before it"};
  if (is_add && attrs.add) return {.reason = "one addition in a pass"};
  (is_add ? attrs.add : attrs.relu) = true;
  return {Fusion::Kind::kReplaces};
}

}  // namespace

ConvGeometry conv_geometry(const Shape& x, const Shape& w, Index stride, Index pad) {
  return {x[0],
          x[1],
          x[2],
          x[3],
          w[0],
          w[1],
          w[2],
          (x[1] + 2 * pad - w[1]) / stride + 1,
          (x[2] + 2 * pad - w[2]) / stride + 1,
          stride,
          pad};
}

ConvTail conv_tail(const BoundNode& node) {
  const auto& attrs = node.attrs<Conv2dAttrs>();
  ConvTail t;
  t.bias = node.in[kBias];
  t.x_step = node.in[kXStep];
  t.w_step = node.in[kWStep];
  if (attrs.add) t.residual = node.in[kFirstFused];
  t.y = node.out[0];
  if (attrs.quantize) {
    t.parameter = node.in[quantizer_at(attrs)];
    t.codes = node.out[1];
    t.step = node.out[2];
  }
  if (attrs.norm_sums) t.norm_sums = node.out[1];
  return t;
}

const OpDef& conv2d_op() {
  static const OpDef op{.name = "conv2d",
                        .infer = infer,
                        .workspace = conv2d_workspace,
                        .scratch = conv2d_scratch,
                        .record_cpu = record_conv2d_cpu,
                        .gradient = gradient,
                        .absorb_reader = absorb,
                        .droppable_outputs = 1u};
  return op;
}

const OpDef& conv2d_backward_data_op() {
  static const OpDef op{.name = "conv2d_backward_data",
                        .infer = infer_data,
                        .workspace = conv2d_backward_data_workspace,
                        .scratch = conv2d_backward_data_scratch,
                        .record_cpu = record_conv2d_backward_data_cpu};
  return op;
}

const OpDef& conv2d_backward_weight_op() {
  static const OpDef op{.name = "conv2d_backward_weight",
                        .infer = infer_weight,
                        .workspace = conv2d_backward_weight_workspace,
                        .scratch = conv2d_backward_weight_scratch,
                        .record_cpu = record_conv2d_backward_weight_cpu,
                        .droppable_outputs = 2u};
  return op;
}

ValueId conv2d(Graph& graph, const std::string& name, const ConvInputs& in, Index stride, Index pad) {
  Conv2dAttrs attrs{stride, pad, {}, 0, 0};
  attrs.largest_x = in.largest_x;
  attrs.largest_w = in.largest_w;
  return graph.add_node(name, conv2d_op(), attrs, {in.x, in.w, in.bias, in.x_step, in.w_step})[0];
}

namespace {

template <class F>
void for_each_convolution(Graph& graph, F f) {
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    Node& node = graph.node(static_cast<NodeId>(n));
    if (node.op == &conv2d_op()) f(std::any_cast<Conv2dAttrs&>(node.attrs));
  }
}

}  // namespace

void set_conv_engine(Graph& graph, ConvEngine engine) {
  for_each_convolution(graph, [engine](Conv2dAttrs& attrs) { attrs.engine = engine; });
}

void set_conv_gradients(Graph& graph, ConvGradients gradients) {
  for_each_convolution(graph, [gradients](Conv2dAttrs& attrs) { attrs.gradients = gradients; });
}

}  // namespace gridstep
