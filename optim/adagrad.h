// Adagrad (Duchi et al., JMLR 12, 2011), PyTorch's form; L2 weight decay.
//   g = g + decay w;  A = A + g^2, A = initial_accumulator before the first step
//   w = w - lr / (1 + (t - 1) lr_decay) * g / (sqrt(A) + eps)
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Adagrad {
  static constexpr std::string_view name = "adagrad";
  static constexpr int min_slots = 1, slots = 1;  // A
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-2;
  static constexpr Setting settings[] = {{"lr_decay", 0.0, SettingRange::kNonNegative},
                                         {"initial_accumulator", 0.0, SettingRange::kNonNegative},
                                         {"eps", 1e-10, SettingRange::kNonNegative},
                                         kWeightDecay};

  enum Hyper { kRateFactor, kAdded, kEps };

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) {
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kRateFactor] = static_cast<float>(1.0 / (1.0 + static_cast<double>(step - 1) * s.at("lr_decay")));
    // Slots start at zero, so the accumulator's initial value enters with the first step.
    p.hyper[kAdded] = step == 1 ? static_cast<float>(s.at("initial_accumulator")) : 0.0f;
    p.hyper[kEps] = static_cast<float>(s.at("eps"));
  }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    const float sum = s[0] + p.hyper[kAdded] + g * g;
    s[0] = sum;
    w = w - terms.lr * p.hyper[kRateFactor] * g / (sqrtf(sum) + p.hyper[kEps]);
  }
};

}  // namespace gridstep
