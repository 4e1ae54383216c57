#include <algorithm>
#include <cstddef>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_rows.h"
#include "kernels/batch_norm/norm_sums.h"
#include "kernels/common/status.h"

namespace gridstep {
namespace {

// Sums of W neighbouring channels over one block: the lanes stay in registers.
template <int W>
void sum_columns(const float* x, Index pixels, Index channels, NormSums* sums) {
  double first[W] = {}, second[W] = {};
  for (Index p = 0; p < pixels; ++p) {
    for (int c = 0; c < W; ++c) {
      const auto v = static_cast<double>(x[p * channels + c]);
      first[c] += v;
      second[c] += v * v;
    }
  }
  for (int c = 0; c < W; ++c) sums[c] = {first[c], second[c]};
}

void record_statistics(Recorder& recorder, const NormTensors& t, const BatchNormAttrs& attrs) {
  const NormExtent e(t.x);
  const int tasks = norm_column_tasks(e);
  recorder.launch("statistics", tasks, [=](const TaskContext& context) {
    const int r = context.replica;
    const auto [begin, end] = norm_columns_of(e, tasks, context.task);
    for (Index c0 = begin; c0 < end; c0 += kNormColumns) {
      const Index width = std::min(kNormColumns, end - c0);
      NormSums totals[kNormColumns];
      if (!attrs.frozen) add_blocks(t.sums.at<const NormSums>(r) + c0, e, width, totals);
      for (Index c = c0; c < c0 + width; ++c) {
        float &m = t.mean.at<float>(r)[c], &s = t.inv_std.at<float>(r)[c];
        if (attrs.frozen) {
          m = t.running_mean.at<float>(r)[c];
          s = inverse_deviation(static_cast<double>(t.running_var.at<float>(r)[c]), attrs.eps);
        } else {
          finish_statistics(totals[c - c0], static_cast<double>(e.pixels), attrs.eps, attrs.momentum, m, s,
                            t.running_mean.at<float>(r)[c], t.running_var.at<float>(r)[c]);
        }
      }
    }
  });
}

struct ApplyRows {
  float mean[kNormRow], factor[kNormRow], beta[kNormRow];

  ApplyRows(const NormTensors& t, int r, const NormRows& rows) {
    rows.fill([&](Index i, Index c) {
      mean[i] = t.mean.at<const float>(r)[c];
      factor[i] = t.inv_std.at<const float>(r)[c] * t.gamma.at<const float>(r)[c];
      beta[i] = t.beta.at<const float>(r)[c];
    });
  }
  template <bool kAdd>
  void run(const float* __restrict x, const float* __restrict residual, Index n, float zero,
           float* __restrict y) const {
    for (Index i = 0; i < n; ++i) {
      float v = NormApply{mean[i], factor[i], beta[i]}(x[i]);
      if constexpr (kAdd) v = v + residual[i];
      y[i] = norm_relu(v, zero);
    }
  }
};

// One row after the other; where only codes are wanted, values never leave the cache.
void record_apply(Recorder& recorder, const NormTensors& t, const BatchNormAttrs& attrs) {
  const NormExtent e(t.x);
  const int tasks = Recorder::chunks(e.blocks());
  const StepParams* params = recorder.params();
  ReplicaStatus* status = recorder.status();
  const int index = recorder.node_index();
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const int r = context.replica;
    const float zero = relu_zero(attrs.relu);
    const float step = attrs.quantize ? step_value(*t.parameter.at<float>(r), attrs.quantize->form) : 0.0f;
    if (attrs.quantize && context.task == 0) *t.step.at<float>(r) = step;
    bool bad = false;
    for_each_norm_slab(e, Recorder::part(e.pixels, tasks, context.task), kNormRow, [&](const NormRows& rows) {
      const ApplyRows apply(t, r, rows);
      rows.run([&](Index at, Index n) {
        float values[kNormRow];
        float* const y = t.y.data != nullptr ? t.y.at<float>(r) + at : values;
        if (attrs.add) {
          apply.run<true>(t.x.at<float>(r) + at, t.residual.at<float>(r) + at, n, zero, y);
        } else {
          apply.run<false>(t.x.at<float>(r) + at, nullptr, n, zero, y);
        }
        if (!attrs.quantize) return;
        bad |= quantize_span(*attrs.quantize, y, n, step, t.codes.at<std::byte>(r) + at * size_of(t.codes.dtype));
      });
    });
    if (bad) note_fault(status[r], params[r].step, index);
  });
}

}  // namespace

void norm_block_sums_cpu(const float* x, Index pixels, Index channels, NormSums* sums) {
  Index c = 0;
  for (; c + 16 <= channels; c += 16) sum_columns<16>(x + c, pixels, channels, sums + c);
  for (; c < channels; ++c) sum_columns<1>(x + c, pixels, channels, sums + c);
}

void record_batch_norm_cpu(Recorder& recorder, const BoundNode& node) {
  const NormTensors t = norm_tensors(node);
  const auto attrs = node.attrs<BatchNormAttrs>();
  const NormExtent e(t.x);
  if (!attrs.frozen && !attrs.sums_given) {
    const int tasks = Recorder::chunks(e.blocks());
    recorder.launch("sums", tasks, [=](const TaskContext& context) {
      const auto [begin, end] = Recorder::part(e.blocks(), tasks, context.task);
      for (Index block = begin; block < end; ++block) {
        norm_block_sums_cpu(t.x.at<float>(context.replica) + block * kNormBlock * e.channels, e.pixels_of(block),
                            e.channels, t.sums.at<NormSums>(context.replica) + block * e.channels);
      }
    });
  }
  record_statistics(recorder, t, attrs);
  record_apply(recorder, t, attrs);
}

}  // namespace gridstep
