// Charbonnier's smooth absolute error: l(d) = sqrt(d^2 + eps^2), l'(d) = d / l(d), eps = 1e-3 (Lai et al., CVPR 2017).
#pragma once

#include <cmath>

#include "engine/base/hd.h"

namespace gridstep {

struct CharbonnierLoss {
  static constexpr float kEps = 1e-3f;

  GS_HD static float value(float d) { return sqrtf(d * d + kEps * kEps); }
  GS_HD static float derivative(float d) { return d / value(d); }
};

}  // namespace gridstep
