// Learning-rate schedules, in closed form: a rate depends on the step number only, never on the rates before it, so a
// resumed run continues with the same numbers.
//
// With k steps done, warm-up over the first W steps: base (k + 1) / W for k < W. After it, with k' = k - W, T = total -
// W and e = the epoch of k, counted from the end of the warm-up (k' / steps per epoch):
//   constant   base
//   step       base gamma^floor(e / every)
//   multistep  base gamma^(number of milestones <= e)
//   cosine     min_lr + (base - min_lr) (1 + cos(pi k' / T)) / 2, and min_lr from k' = T on
// The same values as PyTorch's StepLR, MultiStepLR and CosineAnnealingLR (stepped per epoch, per epoch and per step) up
// to rounding; beyond T, where PyTorch's cosine rises again, ours stays.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gridstep {

enum class ScheduleKind { kConstant, kStep, kMultistep, kCosine };

struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  std::int64_t every = 30;                 // epochs between drops, for kStep; at least 1
  double gamma = 0.1;                      // factor of a drop, for kStep and kMultistep; above 0
  std::vector<std::int64_t> milestones{};  // epochs, ascending, for kMultistep
  double min_lr = 0.0;                     // for kCosine
  std::int64_t warmup_steps = 0;           // 0: none
};

std::string_view name_of(ScheduleKind kind);  // "constant", "step", "multistep", "cosine"
std::vector<std::string> schedule_names();
ScheduleKind find_schedule(std::string_view name);  // throws ConfigError with the nearest match

// Throws ConfigError that names the field and what it must be.
void check_schedule(const Schedule& schedule);

// The rate of optimizer step `step`, counted from 0, of `total_steps`. A warm-up longer than the run is cut short by
// its end.
double scheduled_rate(const Schedule& schedule, double base, std::int64_t step, std::int64_t steps_per_epoch,
                      std::int64_t total_steps);

}  // namespace gridstep
