#include "engine/train/schedule.h"

#include <array>

#include "engine/base/error.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

constexpr double kBase = 0.1;

double rate(const Schedule& s, std::int64_t step, std::int64_t steps_per_epoch = 1, std::int64_t total = 20) {
  return scheduled_rate(s, kBase, step, steps_per_epoch, total);
}

template <std::size_t N>
void check_rates(const Schedule& s, const std::array<double, N>& want) {
  for (std::size_t k = 0; k < N; ++k) {
    INFO("step " << k);
    CHECK(rate(s, static_cast<std::int64_t>(k), 1, N) == Approx(want[k]).epsilon(1e-12).margin(1e-15));
  }
}

}  // namespace

// Golden values from PyTorch 2.15's schedulers in torch.optim.lr_scheduler, base rate 0.1, one scheduler step per step.
TEST_CASE("rates equal PyTorch's StepLR(step_size=3, gamma=0.1)", "[schedule][golden]") {
  check_rates(Schedule{.kind = ScheduleKind::kStep, .every = 3, .gamma = 0.1},
              std::array{0.1, 0.1, 0.1, 0.010000000000000002, 0.010000000000000002, 0.010000000000000002,
                         0.0010000000000000002, 0.0010000000000000002, 0.0010000000000000002, 0.00010000000000000003,
                         0.00010000000000000003, 0.00010000000000000003});
}

TEST_CASE("rates equal PyTorch's MultiStepLR(milestones=[2, 5, 6], gamma=0.3)", "[schedule][golden]") {
  check_rates(Schedule{.kind = ScheduleKind::kMultistep, .gamma = 0.3, .milestones = {2, 5, 6}},
              std::array{0.1, 0.1, 0.03, 0.03, 0.03, 0.009, 0.0026999999999999997, 0.0026999999999999997,
                         0.0026999999999999997, 0.0026999999999999997});
}

TEST_CASE("rates equal PyTorch's CosineAnnealingLR(T_max=12, eta_min=0.002)", "[schedule][golden]") {
  check_rates(Schedule{.kind = ScheduleKind::kCosine, .min_lr = 0.002},
              std::array{0.1, 0.09833036548816435, 0.09343524478543751, 0.08564823227814082, 0.0755,
                         0.06368213321002351, 0.051, 0.038317866789976486, 0.02650000000000001, 0.016351767721859173,
                         0.008564755214562503, 0.0036696345118356582});
}

TEST_CASE("rates equal PyTorch's LinearLR(start_factor=1/4, total_iters=3)", "[schedule][golden]") {
  check_rates(Schedule{.warmup_steps = 4}, std::array{0.025, 0.05, 0.07500000000000001, 0.1, 0.1, 0.1, 0.1, 0.1});
}

TEST_CASE("rates by epoch change at epoch ends only", "[schedule]") {
  const Schedule step{.kind = ScheduleKind::kStep, .every = 2, .gamma = 0.5};
  CHECK(rate(step, 7, 4) == kBase);
  CHECK(rate(step, 8, 4) == kBase * 0.5);
  CHECK(rate(step, 15, 4) == kBase * 0.5);
  CHECK(rate(step, 16, 4) == kBase * 0.25);
  const Schedule multistep{.kind = ScheduleKind::kMultistep, .gamma = 0.5, .milestones = {1, 3}};
  CHECK(rate(multistep, 3, 4) == kBase);
  CHECK(rate(multistep, 4, 4) == kBase * 0.5);
  CHECK(rate(multistep, 12, 4) == kBase * 0.25);
}

TEST_CASE("cosine ends at its minimum and stays there", "[schedule]") {
  const Schedule s{.kind = ScheduleKind::kCosine, .min_lr = 0.01};
  CHECK(rate(s, 0) == kBase);
  CHECK(rate(s, 10) == Approx(0.055));
  CHECK(rate(s, 20) == 0.01);
  CHECK(rate(s, 25) == 0.01);
}

TEST_CASE("warm-up rises linearly to the base rate, then the schedule starts", "[schedule]") {
  Schedule s{.kind = ScheduleKind::kCosine, .warmup_steps = 4};
  for (std::int64_t k = 0; k < 4; ++k) CHECK(rate(s, k) == Approx(kBase * static_cast<double>(k + 1) / 4.0));
  CHECK(rate(s, 4) == kBase);
  CHECK(rate(s, 12) == Approx(kBase / 2));
  CHECK(rate(s, 20) == 0.0);
  s = {.kind = ScheduleKind::kStep, .every = 1, .gamma = 0.5, .warmup_steps = 4};
  CHECK(rate(s, 4 + 9, 10) == kBase);
  CHECK(rate(s, 4 + 10, 10) == kBase * 0.5);
  s = {.warmup_steps = 100};
  CHECK(rate(s, 19) == Approx(kBase * 0.2));
}

TEST_CASE("schedules are found by name and checked", "[schedule]") {
  for (const std::string& name : schedule_names()) CHECK(name_of(find_schedule(name)) == name);
  CHECK_THROWS_WITH(find_schedule("cosinus"), Catch::Matchers::Contains("did you mean 'cosine'"));
  CHECK_NOTHROW(check_schedule({}));
  CHECK_THROWS_AS(check_schedule({.every = 0}), ConfigError);
  CHECK_THROWS_AS(check_schedule({.gamma = 0.0}), ConfigError);
  CHECK_THROWS_AS(check_schedule({.min_lr = -1.0}), ConfigError);
  CHECK_THROWS_AS(check_schedule({.warmup_steps = -1}), ConfigError);
  CHECK_THROWS_AS(check_schedule({.kind = ScheduleKind::kMultistep}), ConfigError);
  CHECK_THROWS_AS(check_schedule({.kind = ScheduleKind::kMultistep, .milestones = {3, 2}}), ConfigError);
  CHECK_THROWS_AS(scheduled_rate({}, kBase, -1, 1, 20), Error);
}

}  // namespace gridstep::test
