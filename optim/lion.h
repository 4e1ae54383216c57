// Lion (Chen et al., arXiv 2302.06675), in the form of google/automl; decoupled weight decay.
//   w = w - lr decay w;  c = beta1 m + (1 - beta1) g;  w = w - lr sign(c), sign(0) = 0;  m = beta2 m + (1 - beta2) g
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Lion {
  static constexpr std::string_view name = "lion";
  static constexpr int min_slots = 1, slots = 1;  // m
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-4;
  static constexpr Setting settings[] = {
      {"beta1", 0.9, SettingRange::kFraction}, {"beta2", 0.99, SettingRange::kFraction}, kWeightDecay};

  enum Hyper { kBeta1, kOneMinusBeta1, kBeta2, kOneMinusBeta2 };

  static void prepare(const Settings& s, std::int64_t, double lr, StepParams& p) {
    const double beta1 = s.at("beta1");
    const double beta2 = s.at("beta2");
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kBeta1] = static_cast<float>(beta1);
    p.hyper[kOneMinusBeta1] = static_cast<float>(1.0 - beta1);
    p.hyper[kBeta2] = static_cast<float>(beta2);
    p.hyper[kOneMinusBeta2] = static_cast<float>(1.0 - beta2);
  }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    w = w - terms.lr * terms.decay * w;
    const float c = p.hyper[kBeta1] * s[0] + p.hyper[kOneMinusBeta1] * g;
    // c - c is 0 for every number and NaN for NaN, which must not pass for a zero.
    const float sign = c > 0.0f ? 1.0f : (c < 0.0f ? -1.0f : c - c);
    w = w - terms.lr * sign;
    s[0] = p.hyper[kBeta2] * s[0] + p.hyper[kOneMinusBeta2] * g;
  }
};

}  // namespace gridstep
