// What an optimizer header (optim/<name>.h) is made of, and the contract it keeps.
//
//   struct Adam {
//     static constexpr std::string_view name;      // what users type
//     static constexpr int min_slots, slots;       // state arrays: least and most the rule can need, depending on its
//     settings static constexpr bool adaptive;              // default factor of the steps' learning rate: 10 if
//     adaptive, else 1 static constexpr Norms norms;                // what `Terms::clip` is made from static constexpr
//     double default_lr; static constexpr Setting settings[];         // its own settings with their defaults
//     (weight_decay among them) static void prepare(const Settings&, std::int64_t step, double lr, StepParams&);  //
//     host, double: fills lr, weight_decay, hyper static GS_HD int slots_in_use(const StepParams&); template <int N>
//     static GS_HD void update(float& w, float g, float* s, const StepParams&, const Terms&);  // s[0, N)
//   };
//
// `update` is the formula, written once: the CPU loop and the CUDA kernel both call it, with N = slots_in_use. It uses
// + - * / sqrtf and comparisons only and is compiled without contraction, so both devices give the same bits. Slots
// start at zero. Whatever is the same for all elements and needs a power or a root is computed by `prepare`, in double,
// from the step number: nothing is accumulated from step to step, so a resumed run computes the same numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/hd.h"
#include "engine/graph/step_params.h"

namespace gridstep {

constexpr int kMaxSlots = 3;

enum class Norms {
  kNone,
  kGlobal,  // one coefficient per replica from the norm of all gradients
  kUnits,   // one coefficient per unit (output channel) from the norms of its weights and gradients
};

enum class SettingRange {
  kNonNegative,       // x >= 0
  kPositive,          // x > 0
  kFraction,          // 0 <= x < 1
  kPositiveFraction,  // 0 < x < 1
  kFlag,              // 0 or 1
};

struct Setting {
  std::string_view name;
  double value;  // default
  SettingRange range;
};

// Values by name, complete and within range once resolve_settings (registry.h) has made them.
struct Settings {
  std::map<std::string, double, std::less<>> values;

  double at(std::string_view name) const;  // throws Error when it was not resolved
};

// What differs between the tensors of one replica.
struct Terms {
  float lr = 0.0f;
  float decay = 0.0f;  // weight decay, in the rule's own manner
  float clip = 1.0f;   // factor of the gradient
};

// Every rule takes these besides its own.
inline constexpr Setting kWeightDecay{"weight_decay", 0.0, SettingRange::kNonNegative};

}  // namespace gridstep
