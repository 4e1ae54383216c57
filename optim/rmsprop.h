// RMSprop (Hinton, Coursera lecture 6e), PyTorch's form: no bias correction, eps outside the root; L2 weight decay.
//   g = g + decay w;  v = alpha v + (1 - alpha) g^2
//   centered: a = a + (1 - alpha)(g - a), d = sqrt(v - a^2) + eps;  else d = sqrt(v) + eps
//   momentum: b = momentum b + g / d, w = w - lr b;  else w = w - lr g / d
// Deviation: v - a^2, which rounding can make negative, is clamped at 0 where PyTorch gets NaN.
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct RmsProp {
  static constexpr std::string_view name = "rmsprop";
  static constexpr int min_slots = 1, slots = 3;  // v, b with momentum or centered, a if centered
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-2;
  static constexpr Setting settings[] = {{"alpha", 0.99, SettingRange::kFraction},
                                         {"eps", 1e-8, SettingRange::kNonNegative},
                                         {"momentum", 0.0, SettingRange::kFraction},
                                         {"centered", 0.0, SettingRange::kFlag},
                                         kWeightDecay};

  enum Hyper { kAlpha, kOneMinusAlpha, kEps, kMomentum, kCentered };

  static void prepare(const Settings& s, std::int64_t, double lr, StepParams& p) {
    const double alpha = s.at("alpha");
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kAlpha] = static_cast<float>(alpha);
    p.hyper[kOneMinusAlpha] = static_cast<float>(1.0 - alpha);
    p.hyper[kEps] = static_cast<float>(s.at("eps"));
    p.hyper[kMomentum] = static_cast<float>(s.at("momentum"));
    p.hyper[kCentered] = static_cast<float>(s.at("centered"));
  }

  static GS_HD int slots_in_use(const StepParams& p) {
    return p.hyper[kCentered] != 0.0f ? 3 : (p.hyper[kMomentum] != 0.0f ? 2 : 1);
  }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    const float v = p.hyper[kAlpha] * s[0] + p.hyper[kOneMinusAlpha] * g * g;
    s[0] = v;
    float variance = v;
    if constexpr (N == 3) {
      const float a = s[2] + p.hyper[kOneMinusAlpha] * (g - s[2]);
      s[2] = a;
      variance = v - a * a;
      variance = variance < 0.0f ? 0.0f : variance;
    }
    float step = g / (sqrtf(variance) + p.hyper[kEps]);
    if constexpr (N >= 2) {
      step = p.hyper[kMomentum] * s[1] + step;
      s[1] = step;
    }
    w = w - terms.lr * step;
  }
};

}  // namespace gridstep
