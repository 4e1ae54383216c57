// Squared error: l(d) = d^2, l'(d) = 2 d.
#pragma once

#include "engine/base/hd.h"

namespace gridstep {

struct MseLoss {
  GS_HD static float value(float d) { return d * d; }
  GS_HD static float derivative(float d) { return d + d; }
};

}  // namespace gridstep
