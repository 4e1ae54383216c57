#include "kernels/conv2d/conv2d_chunks.h"
#include "kernels/conv2d/weight_gemm_cpu.h"

namespace gridstep {

Bytes conv2d_backward_data_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const Shape& w = in[1].shape;
  const ConvGeometry g =
      conv_geometry({in[0].shape[0], attrs.input_height, attrs.input_width, w[3]}, w, attrs.stride, attrs.pad);
  const ChunkedConv conv(ConvPass::kBackwardData, g, DType::kF32);
  return conv.filter_bytes() * conv.variants() + float_bytes(w.elements());
}

void record_conv2d_backward_data_cpu(Recorder& recorder, const BoundNode& node) {
  const Conv2dAttrs attrs = node.attrs<Conv2dAttrs>();
  const Tensor dy = node.in[0], w = node.in[1], sw = node.in[2], dx = node.out[0], work = node.workspace;
  const ConvGeometry g = conv_geometry(dx.shape, w.shape, attrs.stride, attrs.pad);
  const ChunkedConv conv(ConvPass::kBackwardData, g, DType::kF32);
  const Bytes staging_at = conv.filter_bytes() * conv.variants();
  recorder.launch("filter", 1, [=](const TaskContext& t) {
    const float* krsc = w.at<float>(t.replica);
    if (is_code(w.dtype)) {  // the real values q * s_w[k]
      auto* real = reinterpret_cast<float*>(work.at<std::byte>(t.replica) + staging_at);
      const Index fan_in = w.elements() / g.k, steps = sw.elements();
      for (Index k = 0; k < g.k; ++k) {
        const float s = sw.at<float>(t.replica)[steps == 1 ? 0 : k];
        const std::int8_t* q = w.at<std::int8_t>(t.replica) + k * fan_in;
        for (Index i = 0; i < fan_in; ++i) real[k * fan_in + i] = static_cast<float>(q[i]) * s;
      }
      krsc = real;
    }
    for (int v = 0; v < conv.variants(); ++v)
      conv.variant(v).pack_filter(krsc, work.at<std::byte>(t.replica) + conv.filter_bytes() * v, t.scratch);
  });
  recorder.need_scratch(conv.scratch_bytes());
  recorder.launch("", conv.chunks(), [=](const TaskContext& t) {
    const auto range = conv.range(t.task);
    const auto* packed =
        reinterpret_cast<const float*>(work.at<std::byte>(t.replica) + conv.filter_bytes() * conv.variant_of(t.task));
    conv.of(t.task).run_backward_data(dy.at<float>(t.replica) + range.begin * g.p * g.q * g.k, packed,
                                      dx.at<float>(t.replica) + range.begin * g.h * g.w * g.c, t.scratch);
  });
}

namespace {

// Workspace of the weight gradient: per chunk the packed dw and db.
struct WeightPlan {
  ConvGeometry g;
  ChunkedConv conv;
  Bytes bias_bytes, chunk_bytes;
  Bytes conv_scratch_at, scratch;

  WeightPlan(const Conv2dAttrs& attrs, const ValueSpec& x, const Shape& w)
      : g(conv_geometry(x.shape, w, attrs.stride, attrs.pad)),
        conv(ConvPass::kBackwardWeight, g, DType::kF32),
        bias_bytes(float_bytes(g.k)),
        chunk_bytes(conv.filter_bytes() + bias_bytes),
        conv_scratch_at(is_code(x.dtype) ? float_bytes(conv.largest() * g.h * g.w * g.c) : 0),
        scratch(conv_scratch_at + conv.scratch_bytes()) {}
  // Sums per variant, then the plain-layout gradient of the second variant, behind the chunks.
  Bytes staging_at() const { return chunk_bytes * conv.chunks(); }
  Bytes workspace() const { return staging_at() + float_bytes(g.k * g.r * g.s * g.c); }
};

void add_to(float* sum, const float* x, Index n) {
  for (Index i = 0; i < n; ++i) sum[i] += x[i];
}

}  // namespace

Bytes conv2d_backward_weight_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(in[0].shape, in[2].shape, attrs.stride, attrs.pad);
  return uses_weight_gemm(g) ? weight_gemm_workspace(g) : WeightPlan(attrs, in[0], in[2].shape).workspace();
}

void record_conv2d_backward_weight_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], dy = node.in[1], sx = node.in[3], dw = node.out[0], db = node.out[1],
               work = node.workspace;
  const auto& attrs = node.attrs<Conv2dAttrs>();
  if (uses_weight_gemm(conv_geometry(x.shape, dw.shape, attrs.stride, attrs.pad))) {
    record_weight_gemm_cpu(recorder, node);
    return;
  }
  const WeightPlan plan(attrs, spec_of(x), dw.shape);
  const bool codes = is_code(x.dtype);
  recorder.need_scratch(plan.scratch);
  recorder.launch("", plan.conv.chunks(), [=](const TaskContext& t) {
    const ConvGeometry& g = plan.g;
    const auto range = plan.conv.range(t.task);
    const Index in_floats = g.h * g.w * g.c;
    const std::byte* source = x.at<std::byte>(t.replica) + range.begin * in_floats * size_of(x.dtype);
    if (codes) {
      expand_codes(x.dtype, source, range.size() * in_floats, reinterpret_cast<float*>(t.scratch));
      source = t.scratch;
    }
    std::byte* out = work.at<std::byte>(t.replica) + plan.chunk_bytes * t.task;
    plan.conv.of(t.task).run_backward_weight(
        reinterpret_cast<const float*>(source), dy.at<float>(t.replica) + range.begin * g.p * g.q * g.k,
        reinterpret_cast<float*>(out), reinterpret_cast<float*>(out + plan.conv.filter_bytes()),
        t.scratch + plan.conv_scratch_at);
  });
  recorder.launch("sum", 1, [=](const TaskContext& t) {
    std::byte* base = work.at<std::byte>(t.replica);
    float* result = dw.at<float>(t.replica);
    auto* staging = reinterpret_cast<float*>(base + plan.staging_at());
    float* const bias = db.data != nullptr ? db.at<float>(t.replica) : nullptr;
    if (bias != nullptr) std::fill_n(bias, plan.g.k, 0.0f);
    std::fill_n(result, dw.elements(), 0.0f);
    for (int v = 0; v < plan.conv.variants(); ++v) {  // chunks of one size share a layout: added packed, in chunk order
      float* first = nullptr;
      for (int c = 0; c < plan.conv.chunks(); ++c) {
        if (plan.conv.variant_of(c) != v) continue;
        auto* packed = reinterpret_cast<float*>(base + plan.chunk_bytes * c);
        if (bias != nullptr) {
          add_to(bias, reinterpret_cast<const float*>(base + plan.chunk_bytes * c + plan.conv.filter_bytes()),
                 plan.g.k);
        }
        if (first == nullptr) {
          first = packed;
        } else {
          add_to(first, packed, plan.conv.variant(v).filter_floats());
        }
      }
      plan.conv.variant(v).unpack_filter(first, staging, t.scratch);
      add_to(result, staging, dw.elements());
    }
    if (!codes) return;
    const float s = *sx.at<float>(t.replica);
    for (Index i = 0; i < dw.elements(); ++i) result[i] *= s;
  });
}

}  // namespace gridstep
