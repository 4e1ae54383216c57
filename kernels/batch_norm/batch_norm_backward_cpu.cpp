#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_rows.h"
#include "kernels/quantize/quantize_launch.h"

namespace gridstep {
namespace {

// Which of the optional tensors there are: each combination has loops of its own.
template <bool kQuantizedV, GradientMask kMaskV, bool kDyV, bool kYV>
struct Variant {
  static constexpr bool kQuantized = kQuantizedV, kDy = kDyV, kY = kYV;
  static constexpr GradientMask kMask = kMaskV;
};

template <bool kDy, bool kY, class F>
void visit_codes(const BatchNormAttrs& attrs, F&& f) {
  if (!attrs.quantize) return f(Variant<false, GradientMask::kStrict, kDy, kY>{});
  switch (attrs.quantize->mask) {
    case GradientMask::kStrict:
      return f(Variant<true, GradientMask::kStrict, kDy, kY>{});
    case GradientMask::kInclusive:
      return f(Variant<true, GradientMask::kInclusive, kDy, kY>{});
    case GradientMask::kRounded:
      return f(Variant<true, GradientMask::kRounded, kDy, kY>{});
  }
}

template <class F>
void visit_variant(const BatchNormAttrs& attrs, const NormBackwardTensors& t, F f) {
  const bool dy = t.dy.data != nullptr, y = t.y.data != nullptr;
  if (dy) return y ? visit_codes<true, true>(attrs, f) : visit_codes<true, false>(attrs, f);
  return y ? visit_codes<false, true>(attrs, f) : visit_codes<false, false>(attrs, f);
}

// What belongs to a replica: bases of its tensors, and the quantizer's step and limits.
struct Replica {
  const float *x, *dy, *y, *g, *mean, *inv_std, *gamma, *beta;
  float* dresidual;
  float zero, step = 1.0f, n = 0.0f, p = 0.0f;

  Replica(const NormBackwardTensors& t, const BatchNormAttrs& attrs, int r)
      : x(t.x.at<float>(r)),
        dy(t.dy.data != nullptr ? t.dy.at<float>(r) : nullptr),
        y(t.y.data != nullptr ? t.y.at<float>(r) : nullptr),
        g(t.g.data != nullptr ? t.g.at<float>(r) : nullptr),
        mean(t.mean.at<float>(r)),
        inv_std(t.inv_std.at<float>(r)),
        gamma(t.gamma.at<float>(r)),
        beta(t.beta.at<float>(r)),
        dresidual(t.dresidual.data != nullptr ? t.dresidual.at<float>(r) : nullptr),
        zero(relu_zero(attrs.relu)) {
    if (!attrs.quantize) return;
    step = step_value(*t.parameter.at<float>(r), attrs.quantize->form);
    n = static_cast<float>(attrs.quantize->range.n);
    p = static_cast<float>(attrs.quantize->range.p);
  }

  // The gradient before the ReLU of the element `at`, whose channel is normalised by `apply`.
  template <class V>
  float tail(Index at, const NormApply& apply, float& r) const {
    const float a = V::kY ? y[at] : norm_relu(apply(x[at]), zero);
    return norm_tail_gradient<V::kQuantized, V::kMask>(a, V::kDy ? dy[at] : 0.0f, V::kQuantized ? g[at] : 0.0f, zero,
                                                       step, n, p, r);
  }
};

// The gradient before the ReLU, and what each element adds to the step's, for a row.
template <class V>
struct TailRows {
  float mean[kNormRow], factor[kNormRow], beta[kNormRow];

  TailRows(const Replica& a, const NormRows& rows) {
    rows.fill([&](Index i, Index c) {
      mean[i] = a.mean[c];
      factor[i] = a.inv_std[c] * a.gamma[c];
      beta[i] = a.beta[c];
    });
  }
  void run(const Replica& a, Index at, Index n, float* __restrict d, float* __restrict products) const {
    for (Index i = 0; i < n; ++i) {
      float r = 0.0f;
      d[i] = a.template tail<V>(at + i, {mean[i], factor[i], beta[i]}, r);
      if constexpr (V::kQuantized) products[i] = a.g[at + i] * r;
    }
    if constexpr (V::kY) std::copy_n(d, n, a.dresidual + at);
  }
};

// One block of pixels, `width` channels from c0 on: the gradients as above, close together.
struct BlockValues {
  static constexpr Index kChannels = 64;
  float d[kNormBlock * kChannels], products[kNormBlock * kChannels];
};

// Sums of W neighbouring channels: the lanes stay in registers. The pointers are those of the first channel.
template <bool kQuantized, int W>
void sum_columns(const float* x, Index stride, const float* d, const float* products, Index width, Index pixels,
                 const float* mean, const float* inv_std, NormSums* sums, double* step_sums) {
  double dbeta[W] = {}, dgamma[W] = {}, dstep[W] = {};
  for (Index p = 0; p < pixels; ++p) {
    for (int c = 0; c < W; ++c) {
      const auto wide = static_cast<double>(d[p * width + c]);
      dbeta[c] += wide;
      dgamma[c] += wide * static_cast<double>(normalised(x[p * stride + c], mean[c], inv_std[c]));
      if constexpr (kQuantized) dstep[c] += static_cast<double>(products[p * width + c]);
    }
  }
  for (int c = 0; c < W; ++c) {
    sums[c] = {dbeta[c], dgamma[c]};
    if constexpr (kQuantized) step_sums[c] = dstep[c];
  }
}

template <class V>
void sum_block(const Replica& a, const NormExtent& e, Index block, const TailRows<V>& tail, const NormRows& rows,
               NormSums* sums, double* step_sums) {
  BlockValues values;
  const Index first = block * kNormBlock * e.channels + rows.c0, pixels = e.pixels_of(block), width = rows.channels;
  rows.run([&](Index at, Index n) {
    const Index to = (at - first) / e.channels * width;
    tail.run(a, at, n, values.d + to, values.products + to);
  });
  const auto columns = [&]<int W>(Index c) {
    sum_columns<V::kQuantized, W>(a.x + first + c, e.channels, values.d + c, values.products + c, width, pixels,
                                  a.mean + rows.c0 + c, a.inv_std + rows.c0 + c, sums + rows.c0 + c,
                                  step_sums + rows.c0 + c);
  };
  Index c = 0;
  for (; c + 8 <= width; c += 8) columns.template operator()<8>(c);
  for (; c < width; ++c) columns.template operator()<1>(c);
}

template <class V>
void record_sums(Recorder& recorder, const NormBackwardTensors& t, const BatchNormAttrs& attrs) {
  const NormExtent e(t.x);
  const int tasks = Recorder::chunks(e.blocks());
  recorder.launch("sums", tasks, [=](const TaskContext& context) {
    const Replica a(t, attrs, context.replica);
    NormSums* const sums = t.sums.at<NormSums>(context.replica);
    double* const steps = V::kQuantized ? t.step_sums.at<double>(context.replica) : nullptr;
    const auto part = Recorder::part(e.blocks(), tasks, context.task);
    const Index begin = part.begin, end = part.end;
    for_each_norm_slab(e, {begin * kNormBlock, end * kNormBlock}, BlockValues::kChannels, [&](const NormRows& slab) {
      const TailRows<V> tail(a, slab);
      for (Index block = begin; block < end; ++block) {
        const Index from = block * kNormBlock;
        const NormRows rows{e, {from, from + e.pixels_of(block)}, slab.c0, slab.channels, slab.repeats};
        sum_block<V>(a, e, block, tail, rows, sums + block * e.channels,
                     V::kQuantized ? steps + block * e.channels : nullptr);
      }
    });
  });
}

// dgamma and dbeta; the step's sums of each channel over all blocks go to the first block's place.
void record_parameters(Recorder& recorder, const NormBackwardTensors& t) {
  const NormExtent e(t.x);
  const int tasks = norm_column_tasks(e);
  recorder.launch("parameters", tasks, [=](const TaskContext& context) {
    const int r = context.replica;
    const auto [begin, end] = norm_columns_of(e, tasks, context.task);
    for (Index c0 = begin; c0 < end; c0 += kNormColumns) {
      const Index width = std::min(kNormColumns, end - c0);
      NormSums totals[kNormColumns];
      add_blocks(t.sums.at<const NormSums>(r) + c0, e, width, totals);
      for (Index c = 0; c < width; ++c) {
        t.dbeta.at<float>(r)[c0 + c] = static_cast<float>(totals[c].first);
        t.dgamma.at<float>(r)[c0 + c] = static_cast<float>(totals[c].second);
      }
      if (t.step_sums.data == nullptr) continue;
      double steps[kNormColumns];
      add_blocks<double>(t.step_sums.at<double>(r) + c0, e, width, steps);
      std::copy_n(steps, width, t.step_sums.at<double>(r) + c0);
    }
  });
}

void finish_step(const NormBackwardTensors& t, const QuantizeAttrs& attrs, Index channels, int r) {
  const double* const sums = t.step_sums.at<double>(r);
  const float s = step_value(*t.parameter.at<float>(r), attrs.form);
  const float factor = step_factor(attrs.form, attrs.gradient_scale, s, *t.s0.at<float>(r));
  const double sum = lane_sum(channels, [=](Index c) { return sums[c]; });
  *t.dparameter.at<float>(r) = static_cast<float>(sum * static_cast<double>(factor));
}

struct GradientRows {
  float mean[kNormRow], inv_std[kNormRow], factor[kNormRow], beta[kNormRow], mean_dy[kNormRow], product[kNormRow];

  GradientRows(const Replica& a, const float* dbeta, const float* dgamma, float share, const NormRows& rows) {
    rows.fill([&](Index i, Index c) {
      mean[i] = a.mean[c];
      inv_std[i] = a.inv_std[c];
      factor[i] = a.gamma[c] * a.inv_std[c];
      beta[i] = a.beta[c];
      mean_dy[i] = dbeta[c] * share;
      product[i] = dgamma[c] * share;
    });
  }
  template <class V>
  void run(const Replica& a, Index at, Index n, float* __restrict dx) const {
    for (Index i = 0; i < n; ++i) {
      float d, r;
      if constexpr (V::kY) {
        d = a.dresidual[at + i];
      } else {
        d = a.template tail<V>(at + i, {mean[i], factor[i], beta[i]}, r);
      }
      dx[i] = NormGradient{mean[i], inv_std[i], factor[i], mean_dy[i], product[i]}(a.x[at + i], d);
    }
  }
};

template <class V>
void record_apply(Recorder& recorder, const NormBackwardTensors& t, const BatchNormAttrs& attrs) {
  const NormExtent e(t.x);
  const int tasks = Recorder::chunks(e.blocks());
  const float share = attrs.frozen ? 0.0f : 1.0f / static_cast<float>(e.pixels);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const int r = context.replica;
    if (attrs.quantize && context.task == 0) finish_step(t, *attrs.quantize, e.channels, r);
    const Replica a(t, attrs, r);
    for_each_norm_slab(e, Recorder::part(e.pixels, tasks, context.task), kNormRow, [&](const NormRows& rows) {
      const GradientRows gradient(a, t.dbeta.at<float>(r), t.dgamma.at<float>(r), share, rows);
      rows.run([&](Index at, Index n) { gradient.run<V>(a, at, n, t.dx.at<float>(r) + at); });
    });
  });
}

}  // namespace

void record_batch_norm_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const NormBackwardTensors t = norm_backward_tensors(node);
  const auto attrs = node.attrs<BatchNormAttrs>();
  visit_variant(attrs, t, [&]<class V>(V) {
    record_sums<V>(recorder, t, attrs);
    record_parameters(recorder, t);
    record_apply<V>(recorder, t, attrs);
  });
}

}  // namespace gridstep
