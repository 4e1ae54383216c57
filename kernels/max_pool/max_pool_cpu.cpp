#include <algorithm>

#include "kernels/max_pool/max_pool_math.h"

namespace gridstep {
namespace {

// pool_window for all channels at once: the loop over them is the inner one.
void pool_pixel(const PoolGeometry& g, const float* image, int p, int q, float* __restrict value,
                std::uint8_t* __restrict chosen) {
  bool empty = true;
  const int channels = g.channels;  // bytes written to `chosen` might be those of g, for all the compiler knows
  for (int r = 0; r < g.window; ++r) {
    const int h = g.first(p) + r;
    if (h < 0 || h >= g.height) continue;
    for (int s = 0; s < g.window; ++s) {
      const int w = g.first(q) + s;
      if (w < 0 || w >= g.width) continue;
      const float* __restrict x = image + (static_cast<Index>(h) * g.width + w) * g.channels;
      const auto place = static_cast<std::uint8_t>(r * g.window + s);
      if (empty) {
        std::copy_n(x, g.channels, value);
        std::fill_n(chosen, g.channels, place);
        empty = false;
        continue;
      }
      for (int c = 0; c < channels; ++c) chosen[c] = pool_takes(x[c], value[c]) ? place : chosen[c];
      for (int c = 0; c < channels; ++c) value[c] = pool_takes(x[c], value[c]) ? x[c] : value[c];
    }
  }
}

// pool_gradient for all channels at once. Adding 0 changes no sum that began with it.
void gradient_pixel(const PoolGeometry& g, const float* dy, const std::uint8_t* chosen, int h, int w,
                    float* __restrict dx) {
  std::fill_n(dx, g.channels, 0.0f);
  for (int p = g.begin(h); p < g.end(h, g.rows); ++p) {
    for (int q = g.begin(w); q < g.end(w, g.columns); ++q) {
      const Index at = (static_cast<Index>(p) * g.columns + q) * g.channels;
      const float* __restrict from = dy + at;
      const std::uint8_t* __restrict places = chosen + at;
      const auto own = static_cast<std::uint8_t>((h - g.first(p)) * g.window + (w - g.first(q)));
      for (int c = 0; c < g.channels; ++c) dx[c] += places[c] == own ? from[c] : 0.0f;
    }
  }
}

}  // namespace

void record_max_pool_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], y = node.out[0], place = node.out[1];
  const PoolGeometry g = pool_geometry(node.attrs<MaxPoolAttrs>(), x.shape, y.shape);
  const Index lines = y.shape[0] * y.shape[1], image = x.elements() / x.shape[0];
  const int tasks = Recorder::chunks(lines);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(lines, tasks, context.task);
    for (Index line = begin; line < end; ++line) {
      const float* const from = x.at<const float>(context.replica) + line / g.rows * image;
      for (int q = 0; q < g.columns; ++q) {
        const Index pixel = (line * g.columns + q) * g.channels;
        pool_pixel(g, from, static_cast<int>(line % g.rows), q, y.at<float>(context.replica) + pixel,
                   place.at<std::uint8_t>(context.replica) + pixel);
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
      float* const to = dx.at<float>(context.replica);
      for (int w = 0; w < g.width; ++w) {
        gradient_pixel(g, dy.at<const float>(context.replica) + sample,
                       place.at<const std::uint8_t>(context.replica) + sample, static_cast<int>(line % g.height), w,
                       to + (line * g.width + w) * g.channels);
      }
    }
  });
}

}  // namespace gridstep
