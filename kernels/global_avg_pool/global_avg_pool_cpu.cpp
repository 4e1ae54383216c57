#include <algorithm>

#include "kernels/global_avg_pool/global_avg_pool.h"

namespace gridstep {

void record_global_avg_pool_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], y = node.out[0];
  const Index n = x.shape[0], pixels = x.shape[1] * x.shape[2], channels = x.shape[3];
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    constexpr Index kWidth = 64;  // channels summed at once
    const auto [begin, end] = Recorder::part(n, tasks, context.task);
    for (Index i = begin; i < end; ++i) {
      const float* const from = x.at<const float>(context.replica) + i * pixels * channels;
      float* const to = y.at<float>(context.replica) + i * channels;
      for (Index first = 0; first < channels; first += kWidth) {
        const Index width = std::min(kWidth, channels - first);
        double sums[kWidth] = {};
        for (Index p = 0; p < pixels; ++p) {
          for (Index c = 0; c < width; ++c) sums[c] += static_cast<double>(from[p * channels + first + c]);
        }
        for (Index c = 0; c < width; ++c) to[first + c] = static_cast<float>(sums[c] / static_cast<double>(pixels));
      }
    }
  });
}

void record_global_avg_pool_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], dx = node.out[0];
  const Index n = dx.shape[0], pixels = dx.shape[1] * dx.shape[2], channels = dx.shape[3];
  const float factor = 1.0f / static_cast<float>(pixels);
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(n, tasks, context.task);
    for (Index i = begin; i < end; ++i) {
      const float* const from = dy.at<const float>(context.replica) + i * channels;
      float* const to = dx.at<float>(context.replica) + i * pixels * channels;
      for (Index c = 0; c < channels; ++c) to[c] = from[c] * factor;
      for (Index p = 1; p < pixels; ++p) std::copy(to, to + channels, to + p * channels);
    }
  });
}

}  // namespace gridstep
