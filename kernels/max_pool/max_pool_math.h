// Where windows lie, for the drivers of both devices.
#pragma once

#include <cstdint>

#include "engine/base/strict_math.h"
#include "kernels/max_pool/max_pool.h"

namespace gridstep {

struct PoolGeometry {
  int height, width, rows, columns, channels;  // rows x columns windows
  int window, stride, pad;

  GS_HD int first(int index) const { return index * stride - pad; }
  // The windows [begin, end) of a line of `count` that contain a coordinate.
  GS_HD int begin(int at) const {
    const int last_before = at + pad - window;  // a window that starts here or before ends too early
    return last_before < 0 ? 0 : last_before / stride + 1;
  }
  GS_HD int end(int at, int count) const {
    const int last = (at + pad) / stride + 1;
    return last < count ? last : count;
  }
};

inline PoolGeometry pool_geometry(const MaxPoolAttrs& a, const Shape& image, const Shape& pooled) {
  return {static_cast<int>(image[1]),
          static_cast<int>(image[2]),
          static_cast<int>(pooled[1]),
          static_cast<int>(pooled[2]),
          static_cast<int>(image[3]),
          a.window,
          a.stride,
          a.pad};
}

struct Pooled {
  float value;
  std::uint8_t place;
};

// Whether x replaces what a window has so far. `&` and `|`: loops over it have no branch.
GS_HD bool pool_takes(float x, float best) { return (x > best) | (strict::is_nan(x) & !strict::is_nan(best)); }

// One window of one channel; `image` points to the sample's channel.
GS_HD Pooled pool_window(const PoolGeometry& g, const float* image, int p, int q) {
  Pooled best{0.0f, 0};
  bool empty = true;
  for (int r = 0; r < g.window; ++r) {
    const int h = g.first(p) + r;
    if (h < 0 || h >= g.height) continue;
    for (int s = 0; s < g.window; ++s) {
      const int w = g.first(q) + s;
      if (w < 0 || w >= g.width) continue;
      const float x = image[(static_cast<Index>(h) * g.width + w) * g.channels];
      if (empty || pool_takes(x, best.value)) {
        best = {x, static_cast<std::uint8_t>(r * g.window + s)};
      }
      empty = false;
    }
  }
  return best;
}

// The gradient of one pixel of one channel; `dy` and `place` point to the sample's channel.
GS_HD float pool_gradient(const PoolGeometry& g, const float* dy, const std::uint8_t* place, int h, int w) {
  float sum = 0.0f;
  for (int p = g.begin(h); p < g.end(h, g.rows); ++p) {
    for (int q = g.begin(w); q < g.end(w, g.columns); ++q) {
      const Index at = (static_cast<Index>(p) * g.columns + q) * g.channels;
      if (place[at] == (h - g.first(p)) * g.window + (w - g.first(q))) sum += dy[at];
    }
  }
  return sum;
}

}  // namespace gridstep
