// SGD after adaptive gradient clipping (Brock et al., arXiv 2102.06171, equation 3), unit by unit.
//   A unit is an output channel of a weight of rank >= 2, or a whole tensor of rank 1; W and G are its weights and
//   gradients. w* = max(|W|, eps);  clip = clipping w* / max(|G|, 1e-6) where |G| > clipping w*, else 1;  then sgd.h
//   with clip g
// Steps of quantizers and parameters marked so (a classifier's head) are not clipped: with steps below 0.1 the floor
// eps would freeze them. Weight decay is added after clipping. ReplicaStatus::clippable counts units, clipped those
// clipped.
#pragma once

#include "optim/sgd.h"

namespace gridstep {

struct AgcSgd {
  static constexpr std::string_view name = "agc_sgd";
  static constexpr int min_slots = 0, slots = 1;  // b with momentum
  static constexpr bool adaptive = false;
  static constexpr Norms norms = Norms::kUnits;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {{"clipping", 0.01, SettingRange::kPositive},
                                         {"eps", 1e-3, SettingRange::kPositive},
                                         {"momentum", 0.0, SettingRange::kFraction},
                                         {"dampening", 0.0, SettingRange::kFraction},
                                         kWeightDecay};

  enum Hyper { kClipping = 2, kEps };  // after Sgd's

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) {
    Sgd::prepare(s, step, lr, p);
    p.hyper[kClipping] = static_cast<float>(s.at("clipping"));
    p.hyper[kEps] = static_cast<float>(s.at("eps"));
  }

  // From the sums of squares of a unit's weights and gradients. A NaN sum gives 1: the gradient keeps its NaN.
  static GS_HD float clip_unit(double weights, double gradients, const StepParams& p) {
    const double eps = static_cast<double>(p.hyper[kEps]);
    const double w = sqrt(weights);
    const double g = sqrt(gradients);
    const double limit = static_cast<double>(p.hyper[kClipping]) * (w > eps ? w : eps);
    return g > limit ? static_cast<float>(limit / (g > 1e-6 ? g : 1e-6)) : 1.0f;
  }

  static GS_HD int slots_in_use(const StepParams& p) { return Sgd::slots_in_use(p); }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    Sgd::update<N>(w, terms.clip * g, s, p, terms);
  }
};

}  // namespace gridstep
