// Absolute error: l(d) = |d|, l'(d) = sign(d), 0 at 0 (PyTorch's choice). NaN stays NaN in both.
#pragma once

#include "engine/base/hd.h"

namespace gridstep {

struct L1Loss {
  GS_HD static float value(float d) { return d < 0.0f ? -d : d; }
  GS_HD static float derivative(float d) { return d > 0.0f ? 1.0f : (d < 0.0f ? -1.0f : d); }
};

}  // namespace gridstep
