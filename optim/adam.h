// Adam (Kingma & Ba, arXiv 1412.6980), PyTorch's form; weight decay is an L2 penalty on the gradient.
//   g = g + decay w;  m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
//   w = w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr int min_slots = 2, slots = 2;  // m, v
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {{"beta1", 0.9, SettingRange::kFraction},
                                         {"beta2", 0.999, SettingRange::kFraction},
                                         {"eps", 1e-8, SettingRange::kNonNegative},
                                         kWeightDecay};

  enum Hyper { kOneMinusBeta1, kBeta2, kOneMinusBeta2, kEps, kInverseBias1, kRootBias2 };

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) {
    const double beta1 = s.at("beta1");
    const double beta2 = s.at("beta2");
    const auto t = static_cast<double>(step);
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kOneMinusBeta1] = static_cast<float>(1.0 - beta1);
    p.hyper[kBeta2] = static_cast<float>(beta2);
    p.hyper[kOneMinusBeta2] = static_cast<float>(1.0 - beta2);
    p.hyper[kEps] = static_cast<float>(s.at("eps"));
    p.hyper[kInverseBias1] = static_cast<float>(1.0 / (1.0 - std::pow(beta1, t)));
    p.hyper[kRootBias2] = static_cast<float>(std::sqrt(1.0 - std::pow(beta2, t)));
  }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    const float m = s[0] + p.hyper[kOneMinusBeta1] * (g - s[0]);
    const float v = p.hyper[kBeta2] * s[1] + p.hyper[kOneMinusBeta2] * g * g;
    s[0] = m;
    s[1] = v;
    w = w - terms.lr * p.hyper[kInverseBias1] * m / (sqrtf(v) / p.hyper[kRootBias2] + p.hyper[kEps]);
  }
};

}  // namespace gridstep
