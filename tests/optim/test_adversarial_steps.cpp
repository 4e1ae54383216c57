// Steps of quantizers under gradients that no training should give: whatever an optimizer makes of them, a step stays
// finite, positive and within a factor of 1000 of the calibrated one (logarithmic). Near the end of what a float holds,
// where squares and corrected moments overflow, a step may be lost, but not silently: the replica is at fault then.
#include <array>
#include <cfloat>
#include <cmath>

#include "optim/registry.h"
#include "tests/optim/layout.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

enum class Pattern { kHuge, kHugeNegative, kDenormal, kZero, kAlternating, kMixed, kLargest, kSpike };
constexpr std::array kPatterns{Pattern::kHuge,        Pattern::kHugeNegative, Pattern::kDenormal, Pattern::kZero,
                               Pattern::kAlternating, Pattern::kMixed,        Pattern::kLargest,  Pattern::kSpike};
constexpr std::size_t kBeforeMixed = 5;

bool may_overflow(Pattern pattern) { return pattern == Pattern::kLargest || pattern == Pattern::kSpike; }

float gradient_of(Pattern pattern, int step, std::mt19937& random) {
  switch (pattern) {
    case Pattern::kHuge:
      return 1e30f;
    case Pattern::kHugeNegative:
      return -1e30f;
    case Pattern::kLargest:
      return step % 3 == 0 ? -FLT_MAX : FLT_MAX;
    case Pattern::kDenormal:
      return 1e-45f;
    case Pattern::kZero:
      return 0.0f;
    case Pattern::kAlternating:
      return step % 2 == 0 ? 1e30f : -1e30f;
    case Pattern::kSpike:
      return step == 7 ? 1e38f : 1e-3f;
    case Pattern::kMixed:
      return gradient_of(kPatterns[random() % kBeforeMixed], step, random);
  }
  return 0.0f;
}

constexpr Index kSteps = 3;
constexpr int kUpdates = 40;

Layout layout_of(StepKind kind) {
  Layout layout;
  layout.add(Role::kWeight, 37, 1);
  layout.add(Role::kStep, kSteps, 1, 0, true, kind);
  layout.finish(0);
  return layout;
}

// The first update after which a step is not what it must be, as text; empty: none.
std::string attack(const std::string& optimizer, StepKind kind, Pattern pattern, std::uint32_t seed, double lr) {
  const Layout layout = layout_of(kind);
  Population p(layout.segments, layout.size, layout.stride, {{optimizer}});
  fill_replica(layout, p.weights.data(), seed);
  std::mt19937 random(seed);
  const Segment& steps = layout.segments[1];
  for (int update = 0; update < kUpdates; ++update) {
    fill_gradients(layout, p.gradients.data(), seed + static_cast<std::uint32_t>(update));
    for (Index i = 0; i < kSteps; ++i)
      p.gradients[static_cast<std::size_t>(steps.begin + i)] = gradient_of(pattern, update, random);
    p.step(update + 1, lr);
    for (Index i = 0; i < kSteps; ++i) {
      const float value = p.weights[static_cast<std::size_t>(steps.begin + i)];
      const float step0 = p.weights[static_cast<std::size_t>(steps.step0 + i)];
      const double step = kind == StepKind::kLog ? std::exp(static_cast<double>(value)) : static_cast<double>(value);
      const bool bounded = kind != StepKind::kLog ||
                           (step <= 1001.0 * static_cast<double>(step0) && step >= static_cast<double>(step0) / 1001.0);
      if (std::isfinite(step) && step > 0.0 && bounded) continue;
      if (may_overflow(pattern) && p.status[0].first_fault != 0) return {};  // and no step is taken any more
      return fmt::format("{}, {} steps, pattern {}, seed {}, rate {}: {} after update {} (calibrated {})", optimizer,
                         kind == StepKind::kLog ? "logarithmic" : "linear", static_cast<int>(pattern), seed, lr, step,
                         update + 1, step0);
    }
  }
  return {};
}

}  // namespace

TEST_CASE("steps stay finite and positive under adversarial gradients, for every optimizer", "[optim][steps]") {
  for (const auto& info : all_optimizers()) {
    for (const StepKind kind : {StepKind::kLog, StepKind::kLinear}) {
      for (const Pattern pattern : kPatterns) {
        for (std::uint32_t seed = 1; seed <= 20; ++seed) {
          for (const double lr : {1e-3, 1.0}) {
            const std::string fault = attack(std::string(info.name), kind, pattern, seed, lr);
            INFO(fault);
            CHECK(fault.empty());
          }
        }
      }
    }
  }
}

}  // namespace gridstep::test
