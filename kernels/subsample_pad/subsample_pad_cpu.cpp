#include <algorithm>

#include "kernels/subsample_pad/subsample_pad.h"

namespace gridstep {

void record_subsample_pad_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], y = node.out[0];
  const SubsampleShape s = subsample_shape(x.shape, y.shape, node.attrs<SubsamplePadAttrs>());
  const Index n = y.shape[0];
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& t) {
    const auto [begin, end] = Recorder::part(n, tasks, t.task);
    float* to = y.at<float>(t.replica) + begin * s.p * s.q * s.k;
    for (Index i = begin; i < end; ++i) {
      const float* const from = x.at<float>(t.replica) + i * s.h * s.w * s.c;
      for (Index pixel = 0; pixel < s.p * s.q; ++pixel, to += s.k) {
        const float* const channels = from + s.source(pixel * s.k + s.before);
        std::fill_n(to, s.before, 0.0f);
        std::copy_n(channels, s.c, to + s.before);
        std::fill_n(to + s.before + s.c, s.k - s.before - s.c, 0.0f);
      }
    }
  });
}

void record_subsample_pad_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], dx = node.out[0];
  const SubsampleShape s = subsample_shape(dx.shape, dy.shape, node.attrs<SubsamplePadAttrs>());
  const Index n = dx.shape[0];
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& t) {
    const auto [begin, end] = Recorder::part(n, tasks, t.task);
    float* to = dx.at<float>(t.replica) + begin * s.h * s.w * s.c;
    for (Index i = begin; i < end; ++i) {
      const float* const from = dy.at<float>(t.replica) + i * s.p * s.q * s.k;
      for (Index pixel = 0; pixel < s.h * s.w; ++pixel, to += s.c) {
        const Index at = s.target(pixel * s.c);
        if (at < 0) {
          std::fill_n(to, s.c, 0.0f);
        } else {
          std::copy_n(from + at, s.c, to);
        }
      }
    }
  });
}

}  // namespace gridstep
