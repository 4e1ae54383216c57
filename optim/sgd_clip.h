// SGD after clipping by the global norm, as torch.nn.utils.clip_grad_norm_ followed by SGD.
//   n = sqrt(sum of g^2 over all trained values of the replica);  clip = min(1, max_norm / (n + 1e-6));  then sgd.h
//   with clip g
// Deviation: where n is not finite (PyTorch makes every gradient NaN), the step is skipped: weights and state stay.
// Weight decay is added after clipping. ReplicaStatus::clippable counts steps, clipped those with clip < 1 and the
// skipped ones.
#pragma once

#include "optim/sgd.h"

namespace gridstep {

struct SgdClip {
  static constexpr std::string_view name = "sgd_clip";
  static constexpr int min_slots = 0, slots = 1;  // b with momentum
  static constexpr bool adaptive = false;
  static constexpr Norms norms = Norms::kGlobal;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {{"max_norm", 1.0, SettingRange::kPositive},
                                         {"momentum", 0.0, SettingRange::kFraction},
                                         {"dampening", 0.0, SettingRange::kFraction},
                                         kWeightDecay};

  enum Hyper { kMaxNorm = 2 };  // after Sgd's

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) {
    Sgd::prepare(s, step, lr, p);
    p.hyper[kMaxNorm] = static_cast<float>(s.at("max_norm"));
  }

  // `sum`: of squared gradients. NaN says: skip this step.
  static GS_HD float clip_global(double sum, const StepParams& p) {
    if (!(sum - sum == 0.0)) return static_cast<float>(sum - sum);
    const double clip = static_cast<double>(p.hyper[kMaxNorm]) / (sqrt(sum) + 1e-6);
    return clip < 1.0 ? static_cast<float>(clip) : 1.0f;
  }

  static GS_HD int slots_in_use(const StepParams& p) { return Sgd::slots_in_use(p); }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    Sgd::update<N>(w, terms.clip * g, s, p, terms);
  }
};

}  // namespace gridstep
