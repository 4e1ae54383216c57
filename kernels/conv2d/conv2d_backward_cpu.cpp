#include "kernels/conv2d/conv2d_chunks.h"
#include "kernels/conv2d/weight_gemm_cpu.h"

namespace gridstep {
namespace {

// The factors s_w[k] of dy, repeated until they are long enough for convert_scaled().
Index factors_period(Index channels) { return channels * std::max<Index>(1, 256 / channels); }

// The real values q * s_w[k].
void expand_filter(const Tensor& w, const Tensor& sw, Index channels, int replica, float* real) {
  const Index fan_in = w.elements() / channels, steps = sw.elements();
  for (Index k = 0; k < channels; ++k) {
    const float s = sw.at<float>(replica)[steps == 1 ? 0 : k];
    const std::int8_t* q = w.at<std::int8_t>(replica) + k * fan_in;
    for (Index i = 0; i < fan_in; ++i) real[k * fan_in + i] = static_cast<float>(q[i]) * s;
  }
}

// Workspace of the data gradient: the filter in the library's layout, per variant; the filter as real values or in
// bf16; the factors of dy.
struct DataPlan {
  ConvGeometry g;
  bool bf16;
  ChunkedConv conv;
  Bytes staging_at, factors_at, workspace;
  Bytes conv_scratch_at, scratch;  // dy in bf16 lies before

  DataPlan(const Conv2dAttrs& attrs, const Shape& x, const Shape& w)
      : g(conv_geometry(x, w, attrs.stride, attrs.pad)),
        bf16(in_bf16(attrs, ConvPass::kBackwardData, g)),
        conv(bf16 ? ConvPass::kBackwardDataBf16 : ConvPass::kBackwardData, g, DType::kF32),
        staging_at(conv.filter_bytes() * conv.variants()),
        factors_at(staging_at + (bf16 ? bf16_bytes(w.elements()) : float_bytes(w.elements()))),
        workspace(factors_at + (bf16 ? float_bytes(factors_period(g.k)) : 0)),
        conv_scratch_at(bf16 ? bf16_bytes(conv.largest() * g.p * g.q * g.k) : 0),
        scratch(conv_scratch_at + conv.scratch_bytes()) {}
};

Shape input_shape(const Conv2dAttrs& attrs, const Shape& dy, const Shape& w) {
  return {dy[0], attrs.input_height, attrs.input_width, w[3]};
}

// The filter as the primitive wants it, before its layout.
const void* stage_filter(const DataPlan& plan, const Tensor& w, const Tensor& sw, std::byte* work, int replica) {
  std::byte* const staging = work + plan.staging_at;
  if (!plan.bf16) {
    if (!is_code(w.dtype)) return w.at<float>(replica);
    expand_filter(w, sw, plan.g.k, replica, reinterpret_cast<float*>(staging));
  } else if (!is_code(w.dtype)) {
    convert(w.at<float>(replica), w.elements(), reinterpret_cast<Bf16*>(staging));
  } else {  // the steps go to dy
    convert(w.at<std::int8_t>(replica), w.elements(), reinterpret_cast<Bf16*>(staging));
    auto* factors = reinterpret_cast<float*>(work + plan.factors_at);
    const Index steps = sw.elements();
    for (Index i = 0; i < factors_period(plan.g.k); ++i) {
      factors[i] = sw.at<float>(replica)[steps == 1 ? 0 : i % plan.g.k];
    }
  }
  return staging;
}

}  // namespace

Bytes conv2d_backward_data_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  return DataPlan(attrs, input_shape(attrs, in[0].shape, in[1].shape), in[1].shape).workspace;
}

Bytes conv2d_backward_data_scratch(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  return DataPlan(attrs, input_shape(attrs, in[0].shape, in[1].shape), in[1].shape).scratch;
}

void record_conv2d_backward_data_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], w = node.in[1], sw = node.in[2], dx = node.out[0], work = node.workspace;
  const DataPlan plan(node.attrs<Conv2dAttrs>(), dx.shape, w.shape);
  recorder.launch("filter", 1, [=](const TaskContext& t) {
    std::byte* const base = work.at<std::byte>(t.replica);
    const void* const krsc = stage_filter(plan, w, sw, base, t.replica);
    for (int v = 0; v < plan.conv.variants(); ++v) {
      plan.conv.variant(v).pack_filter(krsc, base + plan.conv.filter_bytes() * v, t.scratch);
    }
  });
  recorder.need_scratch(plan.scratch);
  recorder.launch("", plan.conv.chunks(), [=](const TaskContext& t) {
    const ConvGeometry& g = plan.g;
    const auto range = plan.conv.range(t.task);
    const std::byte* const base = work.at<std::byte>(t.replica);
    const Index out_floats = g.p * g.q * g.k;
    const float* const gradient = dy.at<float>(t.replica) + range.begin * out_floats;
    const void* source = gradient;
    if (plan.bf16) {
      auto* rounded = reinterpret_cast<Bf16*>(t.scratch);
      if (is_code(w.dtype)) {
        convert_scaled(gradient, range.size() * out_floats, reinterpret_cast<const float*>(base + plan.factors_at),
                       factors_period(g.k), rounded);
      } else {
        convert(gradient, range.size() * out_floats, rounded);
      }
      source = rounded;
    }
    plan.conv.of(t.task).run_backward_data(source, base + plan.conv.filter_bytes() * plan.conv.variant_of(t.task),
                                           dx.at<float>(t.replica) + range.begin * g.h * g.w * g.c,
                                           t.scratch + plan.conv_scratch_at);
  });
}

namespace {

// Workspace of the weight gradient: per chunk the packed dw and db.
struct WeightPlan {
  ConvGeometry g;
  bool bf16, codes;
  ChunkedConv conv;
  Bytes bias_bytes, chunk_bytes;
  Bytes dy_at, sums_at, conv_scratch_at, scratch;  // x as the primitive wants it lies at 0

  WeightPlan(const Conv2dAttrs& attrs, const ValueSpec& x, const Shape& w)
      : g(conv_geometry(x.shape, w, attrs.stride, attrs.pad)),
        bf16(in_bf16(attrs, ConvPass::kBackwardWeight, g)),
        codes(is_code(x.dtype)),
        conv(bf16 ? ConvPass::kBackwardWeightBf16 : ConvPass::kBackwardWeight, g, DType::kF32),
        bias_bytes(float_bytes(g.k)),
        chunk_bytes(conv.filter_bytes() + bias_bytes) {
    const Index in = conv.largest() * g.h * g.w * g.c, out = conv.largest() * g.p * g.q * g.k;
    dy_at = bf16 ? bf16_bytes(in) : (codes ? float_bytes(in) : 0);
    sums_at = dy_at + (bf16 ? bf16_bytes(out) : 0);
    conv_scratch_at = sums_at + (bf16 ? array_bytes<double>(g.k) : 0);
    scratch = conv_scratch_at + conv.scratch_bytes();
  }
  // Sums per variant, then the plain-layout gradient of the second variant, behind the chunks.
  Bytes staging_at() const { return chunk_bytes * conv.chunks(); }
  Bytes workspace() const { return staging_at() + float_bytes(g.k * g.r * g.s * g.c); }
};

void add_to(float* sum, const float* x, Index n) {
  for (Index i = 0; i < n; ++i) sum[i] += x[i];
}

// Over pixels, in order.
void add_up_channels(const float* dy, Index pixels, Index channels, double* sums, float* db) {
  std::fill_n(sums, channels, 0.0);
  for (Index i = 0; i < pixels; ++i) {
    for (Index k = 0; k < channels; ++k) sums[k] += static_cast<double>(dy[i * channels + k]);
  }
  for (Index k = 0; k < channels; ++k) db[k] = static_cast<float>(sums[k]);
}

// Chunk `chunk` of x as the primitive wants it: itself, or converted into the scratch memory.
const void* stage_x(const WeightPlan& plan, const Tensor& x, int chunk, const TaskContext& t) {
  const auto range = plan.conv.range(chunk);
  const Index floats = plan.g.h * plan.g.w * plan.g.c;
  const std::byte* const source = x.at<std::byte>(t.replica) + range.begin * floats * size_of(x.dtype);
  if (plan.bf16) {
    convert_values(x.dtype, source, range.size() * floats, reinterpret_cast<Bf16*>(t.scratch));
  } else if (plan.codes) {
    convert_values(x.dtype, source, range.size() * floats, reinterpret_cast<float*>(t.scratch));
  } else {
    return source;
  }
  return t.scratch;
}

}  // namespace

Bytes conv2d_backward_weight_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(in[0].shape, in[2].shape, attrs.stride, attrs.pad);
  return uses_weight_gemm(g) ? weight_gemm_workspace(g, attrs) : WeightPlan(attrs, in[0], in[2].shape).workspace();
}

Bytes conv2d_backward_weight_scratch(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(in[0].shape, in[2].shape, attrs.stride, attrs.pad);
  return uses_weight_gemm(g) ? weight_gemm_scratch(g, attrs) : WeightPlan(attrs, in[0], in[2].shape).scratch;
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
  recorder.need_scratch(plan.scratch);
  recorder.launch("", plan.conv.chunks(), [=](const TaskContext& t) {
    const auto range = plan.conv.range(t.task);
    const Index pixels = range.size() * plan.g.p * plan.g.q;
    const float* const gradient = dy.at<float>(t.replica) + range.begin * plan.g.p * plan.g.q * plan.g.k;
    std::byte* const out = work.at<std::byte>(t.replica) + plan.chunk_bytes * t.task;
    float* bias = reinterpret_cast<float*>(out + plan.conv.filter_bytes());
    const void* const source = stage_x(plan, x, t.task, t);
    const void* destination = gradient;
    if (plan.bf16) {
      if (db.data != nullptr)
        add_up_channels(gradient, pixels, plan.g.k, reinterpret_cast<double*>(t.scratch + plan.sums_at), bias);
      auto* rounded = reinterpret_cast<Bf16*>(t.scratch + plan.dy_at);
      convert(gradient, pixels * plan.g.k, rounded);
      destination = rounded;
      bias = nullptr;
    }
    plan.conv.of(t.task).run_backward_weight(source, destination, reinterpret_cast<float*>(out), bias,
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
    if (!plan.codes) return;
    const float s = *sx.at<float>(t.replica);
    for (Index i = 0; i < dw.elements(); ++i) result[i] *= s;
  });
}

}  // namespace gridstep
