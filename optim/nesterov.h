// SGD with Nesterov momentum, PyTorch's form (Sutskever et al., ICML 2013); L2 weight decay, no dampening.
//   g = g + decay w;  b = momentum b + g;  w = w - lr (g + momentum b)
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Nesterov {
  static constexpr std::string_view name = "nesterov";
  static constexpr int min_slots = 1, slots = 1;  // b
  static constexpr bool adaptive = false;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {{"momentum", 0.9, SettingRange::kPositiveFraction}, kWeightDecay};

  enum Hyper { kMomentum };

  static void prepare(const Settings& s, std::int64_t, double lr, StepParams& p) {
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kMomentum] = static_cast<float>(s.at("momentum"));
  }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    const float b = p.hyper[kMomentum] * s[0] + g;
    s[0] = b;
    w = w - terms.lr * (g + p.hyper[kMomentum] * b);
  }
};

}  // namespace gridstep
