#include "engine/train/schedule.h"

#include "engine/base/error.h"
#include "tests/golden/optim/schedule_golden.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

constexpr double kBase = 0.1;

double rate(const Schedule& s, std::int64_t step, std::int64_t steps_per_epoch = 1, std::int64_t total = 20) {
  return scheduled_rate(s, kBase, step, steps_per_epoch, total);
}

}  // namespace

TEST_CASE("every schedule gives PyTorch's rates", "[schedule][golden]") {
  for (const std::string& name : schedule_names()) {
    INFO(name);
    int rows = 0;
    for (const ScheduleGolden& golden : kScheduleGolden) {
      if (golden.kind != name) continue;
      ++rows;
      const Schedule s{find_schedule(name), golden.every,  golden.gamma,
                       golden.milestones,   golden.min_lr, golden.warmup_steps};
      const auto total = static_cast<std::int64_t>(golden.rates.size());
      for (std::int64_t k = 0; k < total; ++k) {
        INFO("step " << k);
        CHECK(scheduled_rate(s, kGoldenBaseRate, k, 1, total) ==
              Approx(golden.rates[static_cast<std::size_t>(k)]).epsilon(1e-12).margin(1e-15));
      }
    }
    CHECK(rows > 0);
  }
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
