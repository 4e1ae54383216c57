// The data gradient of a strided convolution as convolutions without a stride. Pixel y = i stride + first of dx is
// reached by the taps r with (y + pad - r) divisible by the stride: r = first_tap + a stride, from the row
// (y + pad - r) / stride of dy. Pixels of one phase share their taps, and i and that row move together: dx of the phase
// is the convolution of dy with the phase's taps, last one first.
#pragma once

#include <vector>

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

// One axis of one phase.
struct PhaseAxis {
  int first;      // pixel of dx
  int pixels;     // of dx
  int first_tap;  // of the filter
  int taps;       // may be 0: the gradient of these pixels is 0
  int pad;        // of the phase's convolution; may be negative
};

struct GradientPhase {
  PhaseAxis y, x;
  int first_tap;  // taps of the phases before
};

inline PhaseAxis phase_axis(Index phase, Index stride, Index pad, Index filter, Index size) {
  const Index tap = (phase + pad) % stride;
  const Index taps = tap < filter ? (filter - tap + stride - 1) / stride : 0;
  const Index pixels = phase < size ? (size - phase + stride - 1) / stride : 0;
  const Index shift = (phase + pad - tap) / stride;
  return {static_cast<int>(phase), static_cast<int>(pixels), static_cast<int>(tap), static_cast<int>(taps),
          static_cast<int>(taps - 1 - shift)};
}

// stride * stride of them, rows first; those without pixels included.
inline std::vector<GradientPhase> gradient_phases(const ConvGeometry& g) {
  std::vector<GradientPhase> phases;
  int taps = 0;
  for (Index y = 0; y < g.stride; ++y) {
    for (Index x = 0; x < g.stride; ++x) {
      phases.push_back({phase_axis(y, g.stride, g.pad, g.r, g.h), phase_axis(x, g.stride, g.pad, g.s, g.w), taps});
      taps += phases.back().y.taps * phases.back().x.taps;
    }
  }
  return phases;
}

}  // namespace gridstep
