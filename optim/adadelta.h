// Adadelta (Zeiler, arXiv 1212.5701), PyTorch's form: eps inside both roots; L2 weight decay.
//   g = g + decay w;  v = rho v + (1 - rho) g^2;  delta = sqrt(u + eps) / sqrt(v + eps) * g
//   u = rho u + (1 - rho) delta^2;  w = w - lr delta
#pragma once

#include "optim/rule.h"

namespace gridstep {

struct Adadelta {
  static constexpr std::string_view name = "adadelta";
  static constexpr int min_slots = 2, slots = 2;  // v, u
  static constexpr bool adaptive = true;
  static constexpr Norms norms = Norms::kNone;
  static constexpr double default_lr = 1.0;
  // eps 0 is refused: with u = 0 at the start the first update, and so every later one, would be zero.
  static constexpr Setting settings[] = {
      {"rho", 0.9, SettingRange::kFraction}, {"eps", 1e-6, SettingRange::kPositive}, kWeightDecay};

  enum Hyper { kRho, kOneMinusRho, kEps };

  static void prepare(const Settings& s, std::int64_t, double lr, StepParams& p) {
    const double rho = s.at("rho");
    p.lr = static_cast<float>(lr);
    p.weight_decay = static_cast<float>(s.at("weight_decay"));
    p.hyper[kRho] = static_cast<float>(rho);
    p.hyper[kOneMinusRho] = static_cast<float>(1.0 - rho);
    p.hyper[kEps] = static_cast<float>(s.at("eps"));
  }

  static GS_HD int slots_in_use(const StepParams&) { return slots; }

  template <int N>
  static GS_HD void update(float& w, float g, float* s, const StepParams& p, const Terms& terms) {
    g = g + terms.decay * w;
    const float v = p.hyper[kRho] * s[0] + p.hyper[kOneMinusRho] * g * g;
    const float delta = sqrtf(s[1] + p.hyper[kEps]) / sqrtf(v + p.hyper[kEps]) * g;
    s[0] = v;
    s[1] = p.hyper[kRho] * s[1] + p.hyper[kOneMinusRho] * delta * delta;
    w = w - terms.lr * delta;
  }
};

}  // namespace gridstep
