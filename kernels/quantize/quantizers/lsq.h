// LSQ, learned step size quantization (Esser et al. 2020, arXiv 1902.08153, equations 1 to 5).
//   t = v / s,  q = round_even(clamp(t, n, p)),  value = q * s
//   dL/dv = G inside the range, 0 outside;  dL/ds = sum G * r,  r = q - t inside, n below, p above
#pragma once

#include <string_view>

#include "kernels/quantize/quantize_math.h"

namespace gridstep {

struct Lsq {
  static constexpr std::string_view name = "lsq";

  // The code as a float: an integer in [n, p], or NaN.
  GS_HD static float code(float v, float s, float n, float p) { return strict::round_even(strict::clamp(v / s, n, p)); }

  // Returns 1 where the gradient passes and 0 elsewhere; `r` is the element's weight in the step's gradient.
  template <GradientMask M>
  GS_HD static float backward(float v, float s, float n, float p, float& r) {
    const float t = v / s;
    const float q = strict::round_even(strict::clamp(t, n, p));
    if constexpr (M == GradientMask::kStrict) {
      const bool inside = t > n && t < p;
      r = inside ? q - t : q;  // outside, q is n or p
      return inside ? 1.0f : 0.0f;
    } else if constexpr (M == GradientMask::kInclusive) {
      const bool inside = t >= n && t <= p;
      r = inside ? q - t : q;
      return inside ? 1.0f : 0.0f;
    } else {
      const float rounded = strict::round_even(t);
      const bool inside = rounded >= n && rounded <= p;
      r = inside ? rounded - t : q;
      return inside ? 1.0f : 0.0f;
    }
  }
};

}  // namespace gridstep
