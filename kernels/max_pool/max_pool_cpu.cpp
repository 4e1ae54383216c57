#include "kernels/max_pool/max_pool_math.h"

namespace gridstep {

void record_max_pool_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], y = node.out[0], place = node.out[1];
  const PoolGeometry g = pool_geometry(node.attrs<MaxPoolAttrs>(), x.shape, y.shape);
  const Index lines = y.shape[0] * y.shape[1], image = x.elements() / x.shape[0];
  const int tasks = Recorder::chunks(lines);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(lines, tasks, context.task);
    for (Index line = begin; line < end; ++line) {
      const float* const from = x.at<const float>(context.replica) + line / g.rows * image;
      const Index row = line * g.columns * g.channels;
      float* const value = y.at<float>(context.replica) + row;
      std::uint8_t* const chosen = place.at<std::uint8_t>(context.replica) + row;
      for (int q = 0; q < g.columns; ++q) {
        for (int c = 0; c < g.channels; ++c) {
          const Pooled best = pool_window(g, from + c, static_cast<int>(line % g.rows), q);
          value[q * g.channels + c] = best.value;
          chosen[q * g.channels + c] = best.place;
        }
      }
    }
  });
}

void record_max_pool_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], place = node.in[1], dx = node.out[0];
  const PoolGeometry g = pool_geometry(node.attrs<MaxPoolAttrs>(), dx.shape, dy.shape);
  const Index lines = dx.shape[0] * dx.shape[1], pooled = dy.elements() / dy.shape[0];
  const int tasks = Recorder::chunks(lines);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(lines, tasks, context.task);
    for (Index line = begin; line < end; ++line) {
      const Index sample = line / g.height * pooled;
      const float* const from = dy.at<const float>(context.replica) + sample;
      const std::uint8_t* const chosen = place.at<const std::uint8_t>(context.replica) + sample;
      float* const to = dx.at<float>(context.replica) + line * g.width * g.channels;
      for (int w = 0; w < g.width; ++w) {
        for (int c = 0; c < g.channels; ++c) {
          to[w * g.channels + c] = pool_gradient(g, from + c, chosen + c, static_cast<int>(line % g.height), w);
        }
      }
    }
  });
}

}  // namespace gridstep
