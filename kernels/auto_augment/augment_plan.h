// A policy made ready for images of one side: what is not known before the side, computed once on the host.
#pragma once

#include "kernels/auto_augment/auto_augment.h"

namespace gridstep {

// An operation at one magnitude.
struct AugmentStep {
  float factor;  // of a blend
  int level;     // posterize: mask of the bits that stay; solarize: the first code that is inverted
  // Warps: output pixel (y, x) is pixel ((y0 + yy y + yx x) >> 16, (x0 + xy y + xx x) >> 16) of the image.
  int x0, xx, xy, y0, yx, yy;
};

struct AugmentOption {
  AugmentKind kind;
  float probability;
  AugmentStep step[2];  // of negative and positive magnitude
};

struct AugmentPlan {
  std::uint32_t count;
  AugmentOption options[kMaxSubPolicies][2];
};

AugmentPlan augment_plan(const AutoAugmentAttrs& attrs, int side);

}  // namespace gridstep
