// AdamW (Loshchilov & Hutter, arXiv 1711.05101), PyTorch's form: decoupled weight decay, then Adam without any.
//   w = w - lr decay w;  then adam.h with decay = 0
#pragma once

#include "optim/adam.h"

namespace gridstep {

struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr int min_slots = 2, slots = 2;  // m, v
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1e-3;
  static constexpr Setting settings[] = {{"beta1", 0.9, SettingRange::kFraction},
                                         {"beta2", 0.999, SettingRange::kFraction},
                                         {"eps", 1e-8, SettingRange::kNonNegative},
                                         {"weight_decay", 1e-2, SettingRange::kNonNegative}};

  static void prepare(const Settings& s, std::int64_t step, double lr, StepParams& p) { Adam::prepare(s, step, lr, p); }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    w = w - terms.lr * terms.decay * w;
    Adam::update<N>(w, g, s, p, {terms.lr, 0.0f, terms.clip});
  }
};

}  // namespace gridstep
