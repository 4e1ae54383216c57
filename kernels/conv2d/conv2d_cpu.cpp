#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/base/strict_math.h"
#include "kernels/batch_norm/norm_sums.h"
#include "kernels/common/status.h"
#include "kernels/conv2d/conv2d_chunks.h"

namespace gridstep {
namespace {

constexpr std::int64_t kExactSum = std::int64_t{1} << 24;  // integers up to here are exact in float32

std::uint64_t inexact_channels(const std::int8_t* w, Index channels, Index fan_in, std::int64_t largest_code) {
  std::uint64_t count = 0;
  for (Index k = 0; k < channels; ++k) {
    int sum = 0;
    for (Index i = 0; i < fan_in; ++i) sum += w[k * fan_in + i] < 0 ? -w[k * fan_in + i] : w[k * fan_in + i];
    count += sum * largest_code > kExactSum ? 1 : 0;
  }
  return count;
}

// y = acc * s[k] + b[k] in place, each operation rounded; without steps y = acc + b[k]; without bias nothing is added.
template <class Acc>
void epilogue(const Acc* acc, Index pixels, Index channels, const float* scale, const float* bias, float* y) {
  for (Index i = 0; i < pixels; ++i) {
    const Acc* a = acc + i * channels;
    float* row = y + i * channels;
    if (scale != nullptr && bias != nullptr) {
      for (Index k = 0; k < channels; ++k) row[k] = static_cast<float>(a[k]) * scale[k] + bias[k];
    } else if (scale != nullptr) {
      for (Index k = 0; k < channels; ++k) row[k] = static_cast<float>(a[k]) * scale[k];
    } else if (bias != nullptr) {
      for (Index k = 0; k < channels; ++k) row[k] = static_cast<float>(a[k]) + bias[k];
    } else if (static_cast<const void*>(a) != row) {
      for (Index k = 0; k < channels; ++k) row[k] = static_cast<float>(a[k]);
    }
  }
}

// The residual and the ReLU of a fused tail, in place. Without a ReLU `zero` is NaN, below which nothing lies.
template <bool kAdd>
void finish(float* __restrict y, const float* __restrict residual, Index n, float zero) {
  for (Index i = 0; i < n; ++i) {
    float v = y[i];
    if constexpr (kAdd) v = v + residual[i];
    y[i] = norm_relu(v, zero);
  }
}

struct ForwardPlan {
  ConvGeometry g;
  ChunkedConv conv;
  bool codes, int8;
  Bytes filter_at, scale_at;                             // in the workspace
  Bytes source_at, result_at, conv_scratch_at, scratch;  // in the scratch memory

  ForwardPlan(const Conv2dAttrs& attrs, const ValueSpec& x, const Shape& w)
      : g(conv_geometry(x.shape, w, attrs.stride, attrs.pad)),
        conv(uses_int8(x.dtype) ? ConvPass::kForwardInt8 : ConvPass::kForward, g, x.dtype),
        codes(is_code(x.dtype)),
        int8(uses_int8(x.dtype)) {
    filter_at = 0;
    scale_at = conv.filter_bytes() * conv.variants();
    source_at = 0;
    result_at = codes && !int8 ? float_bytes(conv.largest() * g.h * g.w * g.c) : 0;
    conv_scratch_at = result_at + float_bytes(conv.largest() * g.p * g.q * g.k);
    scratch = conv_scratch_at + conv.scratch_bytes();
  }
  Index pixels() const { return g.n * g.p * g.q; }
  // The filter as floats lies behind everything else, and per-channel scales between.
  Bytes staging_at() const { return scale_at + float_bytes(g.k); }
  Bytes workspace() const { return staging_at() + float_bytes(g.k * g.r * g.s * g.c); }
};

// Launch 1: the filter in the library's layout, the scales s[k], the exactness count.
void record_filter(Recorder& recorder, const BoundNode& node, const ForwardPlan& plan) {
  const Tensor w = node.in[1], sx = node.in[3], sw = node.in[4], work = node.workspace;
  const DType x_type = node.in[0].dtype;
  ReplicaStatus* status = recorder.status();
  recorder.launch("filter", 1, [=](const TaskContext& t) {
    const ConvGeometry& g = plan.g;
    const Index fan_in = g.r * g.s * g.c;
    const void* krsc = w.at<std::byte>(t.replica);
    if (plan.codes) {
      const auto* codes = w.at<std::int8_t>(t.replica);
      if (!plan.int8) {
        auto* staging = reinterpret_cast<float*>(work.at<std::byte>(t.replica) + plan.staging_at());
        convert(codes, g.k * fan_in, staging);
        krsc = staging;
        status[t.replica].inexact += inexact_channels(codes, g.k, fan_in, x_type == DType::kU8 ? 255 : 128);
      }
      auto* scale = reinterpret_cast<float*>(work.at<std::byte>(t.replica) + plan.scale_at);
      const Index steps = sw.elements();
      for (Index k = 0; k < g.k; ++k) scale[k] = *sx.at<float>(t.replica) * sw.at<float>(t.replica)[steps == 1 ? 0 : k];
    }
    for (int v = 0; v < plan.conv.variants(); ++v) {
      plan.conv.variant(v).pack_filter(
          krsc, work.at<std::byte>(t.replica) + plan.filter_at + plan.conv.filter_bytes() * v, t.scratch);
    }
  });
}

// The epilogue of one chunk, and its codes where a quantizer is fused, or the sums of its whole blocks of pixels: in
// pieces that stay in the cache.
struct Epilogue {
  const ForwardPlan& plan;
  const float* scale;
  const float* bias;
  const float* residual;  // of the chunk, or null
  bool relu;
  const QuantizeAttrs* quantize;
  float step;
  NormSums* sums;     // of all blocks, or null
  Index first_pixel;  // of the chunk

  // Pieces begin where blocks do, so that a block is cut by the chunk's ends only.
  Index piece_at(Index i) const {
    const Index pixels = std::max<Index>(1, 4096 / plan.g.k);
    if (sums == nullptr) return pixels;
    const Index whole = (pixels + kNormBlock - 1) / kNormBlock * kNormBlock;
    return whole - (first_pixel + i) % kNormBlock;
  }

  void add_up(const float* y, Index i, Index n) const {
    const Index end = first_pixel + i + n;
    for (Index at = (first_pixel + i + kNormBlock - 1) / kNormBlock * kNormBlock; at < end; at += kNormBlock) {
      const Index block_end = std::min(at + kNormBlock, plan.pixels());
      if (block_end > end) return;
      norm_block_sums_cpu(y + (at - first_pixel) * plan.g.k, block_end - at, plan.g.k,
                          sums + at / kNormBlock * plan.g.k);
    }
  }

  // `y` may be null when only the codes are wanted; `acc` is then overwritten.
  bool run(void* acc, Index pixels, float* y, std::byte* codes) const {
    const Index channels = plan.g.k;
    bool bad = false;
    for (Index i = 0, piece = 0; i < pixels; i += piece) {
      piece = piece_at(i);
      const Index n = std::min(piece, pixels - i);
      float* out = (y != nullptr ? y : static_cast<float*>(acc)) + i * channels;
      if (plan.int8) {
        epilogue(static_cast<std::int32_t*>(acc) + i * channels, n, channels, scale, bias, out);
      } else {
        epilogue(static_cast<float*>(acc) + i * channels, n, channels, scale, bias, out);
      }
      if (residual != nullptr) {
        finish<true>(out, residual + i * channels, n * channels, relu_zero(relu));
      } else if (relu) {
        finish<false>(out, nullptr, n * channels, relu_zero(relu));
      }
      if (quantize != nullptr) {
        const Bytes width = quantize->fake ? static_cast<Bytes>(sizeof(float)) : 1;
        bad |= quantize_span(*quantize, out, n * channels, step, codes + i * channels * width);
      }
      if (sums != nullptr) add_up(y, i, n);
    }
    return bad;
  }
};

// The blocks of pixels that lie in two chunks.
void record_cut_blocks(Recorder& recorder, const ForwardPlan& plan, const Tensor& y, const Tensor& sums) {
  std::vector<Index> cut;
  for (int chunk = 1; chunk < plan.conv.chunks(); ++chunk) {
    const Index pixel = plan.conv.range(chunk).begin * plan.g.p * plan.g.q;
    const Index block = pixel / kNormBlock;
    if (pixel % kNormBlock != 0 && (cut.empty() || cut.back() != block)) cut.push_back(block);
  }
  if (cut.empty()) return;
  recorder.launch("sums", 1, [=](const TaskContext& t) {
    const Index channels = plan.g.k;
    for (const Index block : cut) {
      const Index begin = block * kNormBlock, end = std::min(begin + kNormBlock, plan.pixels());
      norm_block_sums_cpu(y.at<float>(t.replica) + begin * channels, end - begin, channels,
                          sums.at<NormSums>(t.replica) + block * channels);
    }
  });
}

}  // namespace

Bytes conv2d_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind) {
  return ForwardPlan(node.attrs_as<Conv2dAttrs>(), in[0], in[1].shape).workspace();
}

Bytes conv2d_scratch(const Node& node, std::span<const ValueSpec> in) {
  return ForwardPlan(node.attrs_as<Conv2dAttrs>(), in[0], in[1].shape).scratch;
}

void record_conv2d_cpu(Recorder& recorder, const BoundNode& node) {
  const Conv2dAttrs attrs = node.attrs<Conv2dAttrs>();
  const ForwardPlan plan(attrs, spec_of(node.in[0]), node.in[1].shape);
  const Tensor x = node.in[0], work = node.workspace;
  const ConvTail tail = conv_tail(node);
  const bool fused = attrs.quantize.has_value();
  const StepParams* params = recorder.params();
  ReplicaStatus* status = recorder.status();
  const int index = recorder.node_index();
  record_filter(recorder, node, plan);
  recorder.need_scratch(plan.scratch);
  recorder.launch("", plan.conv.chunks(), [=](const TaskContext& t) {
    const ConvGeometry& g = plan.g;
    const auto range = plan.conv.range(t.task);
    const Index in_floats = g.h * g.w * g.c, pixels = range.size() * g.p * g.q,
                out_begin = range.begin * g.p * g.q * g.k;
    const std::byte* source = x.at<std::byte>(t.replica) + range.begin * in_floats * size_of(x.dtype);
    if (plan.codes && !plan.int8) {
      auto* expanded = reinterpret_cast<float*>(t.scratch + plan.source_at);
      convert_values(x.dtype, source, range.size() * in_floats, expanded);
      source = reinterpret_cast<const std::byte*>(expanded);
    }
    float* out = tail.y.data != nullptr ? tail.y.at<float>(t.replica) + out_begin : nullptr;
    void* acc = out != nullptr && !plan.int8 ? static_cast<void*>(out) : t.scratch + plan.result_at;
    const std::byte* w = work.at<std::byte>(t.replica);
    plan.conv.of(t.task).run_forward(source,
                                     w + plan.filter_at + plan.conv.filter_bytes() * plan.conv.variant_of(t.task), acc,
                                     t.scratch + plan.conv_scratch_at);
    const float step = fused ? step_value(*tail.parameter.at<float>(t.replica), attrs.quantize->form) : 0.0f;
    if (fused && t.task == 0) *tail.step.at<float>(t.replica) = step;
    const Epilogue epilogue{plan,
                            plan.codes ? reinterpret_cast<const float*>(w + plan.scale_at) : nullptr,
                            tail.bias.data != nullptr ? tail.bias.at<float>(t.replica) : nullptr,
                            attrs.add ? tail.residual.at<float>(t.replica) + out_begin : nullptr,
                            attrs.relu,
                            fused ? &*attrs.quantize : nullptr,
                            step,
                            attrs.norm_sums ? tail.norm_sums.at<NormSums>(t.replica) : nullptr,
                            range.begin * g.p * g.q};
    std::byte* codes = fused ? tail.codes.at<std::byte>(t.replica) + out_begin * size_of(tail.codes.dtype) : nullptr;
    if (epilogue.run(acc, pixels, out, codes)) note_fault(status[t.replica], params[t.replica].step, index);
  });
  if (attrs.norm_sums) record_cut_blocks(recorder, plan, tail.y, tail.norm_sums);
}

}  // namespace gridstep
