#include "kernels/common/elementwise_cpu.h"
#include "kernels/normalize_pixels/normalize_pixels.h"

namespace gridstep {

void record_normalize_pixels_cpu(Recorder& recorder, const BoundNode& node) {
  const auto attrs = node.attrs<Normalization>();
  const Tensor x = node.in[0], y = node.out[0];
  const int tasks = elementwise_tasks(x.shape);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(x.elements() / 3, tasks, context.task);
    const std::uint8_t* __restrict from = x.at<const std::uint8_t>(context.replica);
    float* __restrict to = y.at<float>(context.replica);
    for (Index p = begin; p < end; ++p) {
      for (int c = 0; c < 3; ++c) to[3 * p + c] = normalized_pixel(from[3 * p + c], attrs.mean[c], attrs.deviation[c]);
    }
  });
}

}  // namespace gridstep
