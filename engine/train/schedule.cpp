#include "engine/train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"constant", "step", "multistep", "cosine"};

}  // namespace

std::string_view name_of(ScheduleKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::vector<std::string> schedule_names() { return {kNames.begin(), kNames.end()}; }

ScheduleKind find_schedule(std::string_view name) {
  const auto it = std::find(kNames.begin(), kNames.end(), name);
  if (it == kNames.end()) {
    const std::vector<std::string> names = schedule_names();
    fail<ConfigError>("no schedule is called '{}'{}; there are: {}", name, did_you_mean(name, names), join(names));
  }
  return static_cast<ScheduleKind>(it - kNames.begin());
}

void check_schedule(const Schedule& s) {
  if (s.every < 1) fail<ConfigError>("schedule: every = {} epochs, but it must be at least 1", s.every);
  if (!(s.gamma > 0.0) || !std::isfinite(s.gamma))
    fail<ConfigError>("schedule: gamma = {}, but it must be above 0", s.gamma);
  if (!(s.min_lr >= 0.0) || !std::isfinite(s.min_lr)) {
    fail<ConfigError>("schedule: min_lr = {}, but it must be at least 0", s.min_lr);
  }
  if (s.warmup_steps < 0) fail<ConfigError>("schedule: warmup_steps = {}, but it must be at least 0", s.warmup_steps);
  if (s.kind == ScheduleKind::kMultistep && s.milestones.empty()) {
    fail<ConfigError>("schedule: multistep needs milestones, the epochs after which the rate drops");
  }
  if (!std::is_sorted(s.milestones.begin(), s.milestones.end()) ||
      (!s.milestones.empty() && s.milestones.front() < 0)) {
    fail<ConfigError>("schedule: milestones must be epochs in ascending order");
  }
}

double scheduled_rate(const Schedule& s, double base, std::int64_t step, std::int64_t steps_per_epoch,
                      std::int64_t total_steps) {
  GS_CHECK(step >= 0 && steps_per_epoch >= 1, "schedule: step {} of epochs of {} steps", step, steps_per_epoch);
  if (step < s.warmup_steps) return base * static_cast<double>(step + 1) / static_cast<double>(s.warmup_steps);
  const std::int64_t done = step - s.warmup_steps;
  const std::int64_t epoch = done / steps_per_epoch;
  switch (s.kind) {
    case ScheduleKind::kConstant:
      return base;
    case ScheduleKind::kStep: {
      const std::int64_t drops = epoch / s.every;
      return base * std::pow(s.gamma, static_cast<double>(drops));
    }
    case ScheduleKind::kMultistep: {
      const auto passed = std::upper_bound(s.milestones.begin(), s.milestones.end(), epoch) - s.milestones.begin();
      return base * std::pow(s.gamma, static_cast<double>(passed));
    }
    case ScheduleKind::kCosine: {
      const std::int64_t length = total_steps - s.warmup_steps;
      if (done >= length) return s.min_lr;
      const double angle = std::numbers::pi * static_cast<double>(done) / static_cast<double>(length);
      return s.min_lr + 0.5 * (base - s.min_lr) * (1.0 + std::cos(angle));
    }
  }
  fail("unknown schedule");
}

}  // namespace gridstep
