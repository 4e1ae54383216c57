// Stochastic gradient descent with optional momentum, PyTorch's form; L2 weight decay.
//   g = g + decay w
//   momentum: b = g at t = 1, else b = momentum b + (1 - dampening) g;  w = w - lr b;  else w = w - lr g
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr int min_slots = 0, slots = 1;  // b with momentum
  static constexpr bool adaptive = false;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {
      {"momentum", 0.0, SettingRange::kFraction}, {"dampening", 0.0, SettingRange::kFraction}, kWeightDecay};

  enum Hyper { kMomentum, kGain };

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) {
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kMomentum] = static_cast<float>(s.at("momentum"));
    // b = 0 before the first step, so that a gain of 1 gives PyTorch's undamped b = g.
    p.hyper[kGain] = step == 1 ? 1.0f : static_cast<float>(1.0 - s.at("dampening"));
  }

  static GS_HD int slots_in_use(const StepParams& p) { return p.hyper[kMomentum] != 0.0f ? 1 : 0; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    if constexpr (N == 1) {
      g = p.hyper[kMomentum] * s[0] + p.hyper[kGain] * g;
      s[0] = g;
    }
    w = w - terms.lr * g;
  }
};

}  // namespace gridstep
