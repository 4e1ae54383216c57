#include <algorithm>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_math.h"

namespace gridstep {
namespace {

constexpr Index kWidth = 64;  // channels at once: their sums stay in registers and the first cache

struct Extent {
  Index pixels, channels;
  Index blocks() const { return norm_blocks(pixels); }
};
Extent extent_of(const Tensor& x) { return {x.elements() / x.shape[3], x.shape[3]}; }

// Sums of every block and channel: (C, blocks). `add(sums, at, c)` adds the element `at`, of channel `c`.
template <class Add>
void record_block_sums(Recorder& recorder, const std::string& name, const Extent& e, const Tensor& sums, Add make_add) {
  const int tasks = Recorder::chunks(e.blocks());
  recorder.launch(name, tasks, [=](const TaskContext& context) {
    const auto add = make_add(context.replica);
    const auto [begin, end] = Recorder::part(e.blocks(), tasks, context.task);
    for (Index block = begin; block < end; ++block) {
      const Index first = block * kNormBlock, last = std::min(e.pixels, first + kNormBlock);
      for (Index c0 = 0; c0 < e.channels; c0 += kWidth) {
        const Index width = std::min(kWidth, e.channels - c0);
        NormSums lane[kWidth];
        for (Index p = first; p < last; ++p) {
          for (Index c = 0; c < width; ++c) add(lane[c], p * e.channels + c0 + c, c0 + c);
        }
        auto* const to = sums.at<NormSums>(context.replica);
        for (Index c = 0; c < width; ++c) to[(c0 + c) * e.blocks() + block] = lane[c];
      }
    }
  });
}

NormSums sum_blocks(const NormSums* blocks, Index count) {
  NormSums lanes[kWarp];
  for (Index b = 0; b < count; ++b) lanes[b % kWarp].add(blocks[b]);
  for (int half = kWarp / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l].add(lanes[l + half]);
  }
  return lanes[0];
}

// out[i] = f(channel's functor, i), a task for a part of the pixels. `functor(replica, c)` makes the channel's.
template <class MakeFunctor, class Element>
void record_apply(Recorder& recorder, const std::string& name, const Extent& e, MakeFunctor functor, Element element) {
  const int tasks = Recorder::chunks(e.blocks());
  recorder.launch(name, tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(e.pixels, tasks, context.task);
    for (Index c0 = 0; c0 < e.channels; c0 += kWidth) {
      const Index width = std::min(kWidth, e.channels - c0);
      decltype(functor(0, Index{0})) of_channel[kWidth];
      for (Index c = 0; c < width; ++c) of_channel[c] = functor(context.replica, c0 + c);
      for (Index p = begin; p < end; ++p) element(context.replica, of_channel, p * e.channels + c0, width);
    }
  });
}

}  // namespace

void record_batch_norm_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], gamma = node.in[1], beta = node.in[2], running_mean = node.in[3],
               running_var = node.in[4], y = node.out[0], mean = node.out[1], inv_std = node.out[2];
  const Tensor sums = node.workspace;
  const auto attrs = node.attrs<BatchNormAttrs>();
  const Extent e = extent_of(x);
  if (!attrs.frozen) {
    record_block_sums(recorder, "sums", e, sums, [=](int replica) {
      return [from = x.at<const float>(replica)](NormSums& s, Index at, Index) { s.add_value(from[at]); };
    });
  }
  recorder.launch("statistics", 1, [=](const TaskContext& context) {
    const int r = context.replica;
    for (Index c = 0; c < e.channels; ++c) {
      float &m = mean.at<float>(r)[c], &s = inv_std.at<float>(r)[c];
      if (attrs.frozen) {
        m = running_mean.at<float>(r)[c];
        s = inverse_deviation(static_cast<double>(running_var.at<float>(r)[c]), attrs.eps);
      } else {
        const NormSums total = sum_blocks(sums.at<const NormSums>(r) + c * e.blocks(), e.blocks());
        finish_statistics(total, static_cast<double>(e.pixels), attrs.eps, attrs.momentum, m, s,
                          running_mean.at<float>(r)[c], running_var.at<float>(r)[c]);
      }
    }
  });
  record_apply(
      recorder, "", e,
      [=](int r, Index c) {
        return NormApply{mean.at<const float>(r)[c], inv_std.at<const float>(r)[c] * gamma.at<const float>(r)[c],
                         beta.at<const float>(r)[c]};
      },
      [=](int r, const NormApply* apply, Index at, Index width) {
        const float* __restrict from = x.at<const float>(r) + at;
        float* __restrict to = y.at<float>(r) + at;
        for (Index c = 0; c < width; ++c) to[c] = apply[c](from[c]);
      });
}

void record_batch_norm_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], dy = node.in[1], gamma = node.in[2], mean = node.in[3], inv_std = node.in[4],
               dx = node.out[0], dgamma = node.out[1], dbeta = node.out[2];
  const Tensor sums = node.workspace;
  const bool frozen = node.attrs<BatchNormAttrs>().frozen;
  const Extent e = extent_of(x);
  record_block_sums(recorder, "sums", e, sums, [=](int r) {
    return [from = x.at<const float>(r), g = dy.at<const float>(r), m = mean.at<const float>(r),
            s = inv_std.at<const float>(r)](NormSums& lane, Index at, Index c) {
      lane.add_gradient(g[at], normalised(from[at], m[c], s[c]));
    };
  });
  recorder.launch("parameters", 1, [=](const TaskContext& context) {
    for (Index c = 0; c < e.channels; ++c) {
      const NormSums total = sum_blocks(sums.at<const NormSums>(context.replica) + c * e.blocks(), e.blocks());
      dbeta.at<float>(context.replica)[c] = static_cast<float>(total.first);
      dgamma.at<float>(context.replica)[c] = static_cast<float>(total.second);
    }
  });
  const float share = frozen ? 0.0f : 1.0f / static_cast<float>(e.pixels);
  record_apply(
      recorder, "", e,
      [=](int r, Index c) {
        return norm_gradient(mean.at<const float>(r)[c], inv_std.at<const float>(r)[c], gamma.at<const float>(r)[c],
                             dbeta.at<const float>(r)[c] * share, dgamma.at<const float>(r)[c] * share);
      },
      [=](int r, const NormGradient* apply, Index at, Index width) {
        const float* __restrict from = x.at<const float>(r) + at;
        const float* __restrict g = dy.at<const float>(r) + at;
        float* __restrict to = dx.at<float>(r) + at;
        for (Index c = 0; c < width; ++c) to[c] = apply[c](from[c], g[c]);
      });
}

}  // namespace gridstep
