#include "tests/optim/layout.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

Layout step_layout(StepKind kind, Index size) {
  Layout layout;
  layout.add(Role::kStep, size, 1, 0, true, kind);
  layout.finish(0);
  return layout;
}

// sgd with momentum: slots are visible, and a gradient moves a step by itself.
Population steps_under_sgd(const Layout& layout) {
  return Population(layout.segments, layout.size, layout.stride, {{"sgd", {{"momentum", 0.5}}}});
}

}  // namespace

TEST_CASE("linear steps stay positive and above their floor", "[optim][steps]") {
  const Layout layout = step_layout(StepKind::kLinear, 5);
  Population p = steps_under_sgd(layout);
  const float start[] = {0.5f, 0.5f, 0.5f, 1e-6f, 0.5f};
  const float step0[] = {0.5f, 0.5f, 0.5f, 1e-6f, 0.5f};
  const float gradient[] = {0.25f, 0.5f, 0.75f, 1e-6f, 0.0f};
  for (Index i = 0; i < 5; ++i) {
    p.weights[i] = start[i];
    p.weights[5 + i] = step0[i];
    p.gradients[i] = gradient[i];
  }
  p.step(1, 1.0);
  CHECK(p.weights[0] == 0.25f);
  CHECK(p.slots[0][0] == 0.25f);
  CHECK(p.weights[1] == 1e-3f * 0.5f);  // exactly 0 before the floor
  CHECK(p.slots[0][1] == 0.0f);
  CHECK(p.weights[2] == 0.25f);  // -0.25 mirrored; no floor met, the momentum stays
  CHECK(p.slots[0][2] == 0.75f);
  CHECK(p.weights[3] == 1e-8f);  // the absolute floor
  CHECK(p.slots[0][3] == 0.0f);
  CHECK(p.weights[4] == 0.5f);
  for (Index i = 0; i < 5; ++i) CHECK(p.weights[5 + i] == step0[i]);
}

TEST_CASE("logarithmic steps stay within a factor of 1000 of the calibrated step", "[optim][steps]") {
  const Layout layout = step_layout(StepKind::kLog, 4);
  Population p = steps_under_sgd(layout);
  const float step0[] = {0.1f, 0.1f, 3.0f, 1e-5f};
  const float gradient[] = {-1.0f, -50.0f, 50.0f, 0.5f};
  for (Index i = 0; i < 4; ++i) {
    p.weights[i] = std::log(step0[i]);
    p.weights[4 + i] = step0[i];
    p.gradients[i] = gradient[i];
  }
  p.step(1, 1.0);
  CHECK(p.weights[0] == Approx(std::log(0.1) + 1.0).epsilon(1e-6));
  CHECK(p.slots[0][0] == -1.0f);
  CHECK(p.weights[1] == Approx(std::log(100.0)).epsilon(1e-6));
  CHECK(p.slots[0][1] == 0.0f);
  CHECK(p.weights[2] == Approx(std::log(0.003)).epsilon(1e-6));
  CHECK(p.slots[0][2] == 0.0f);
  CHECK(p.weights[3] == Approx(std::log(1e-5) - 0.5).epsilon(1e-6));
  CHECK(p.slots[0][3] == 0.5f);
}

TEST_CASE("a bound clears every slot of its element only", "[optim][steps]") {
  const Layout layout = step_layout(StepKind::kLog, 3);
  Population p(layout.segments, layout.size, layout.stride,
               {{"adam"}, {"rmsprop", {{"centered", 1}, {"momentum", 0.9}}}});
  for (Index r = 0; r < 2; ++r) {
    for (Index i = 0; i < 3; ++i) {
      p.weights[r * p.stride + i] = i == 1 ? 20.0f : 0.0f;
      p.weights[r * p.stride + 3 + i] = 1.0f;
      p.gradients[r * p.stride + i] = 1.0f;
    }
  }
  p.step(1, 1e-3);
  for (Index r = 0; r < 2; ++r) {
    const int slots = r == 0 ? 2 : 3;
    for (int k = 0; k < slots; ++k) {
      CHECK(p.slots[static_cast<std::size_t>(k)][r * p.stride] != 0.0f);
      CHECK(p.slots[static_cast<std::size_t>(k)][r * p.stride + 1] == 0.0f);
      CHECK(p.slots[static_cast<std::size_t>(k)][r * p.stride + 2] != 0.0f);
    }
  }
}

TEST_CASE("a NaN step is a fault, not a floor", "[optim][steps]") {
  for (const StepKind kind : {StepKind::kLinear, StepKind::kLog}) {
    const Layout layout = step_layout(kind, 1);
    Population p = steps_under_sgd(layout);
    p.weights[0] = 0.5f;
    p.weights[1] = 0.5f;
    p.gradients[0] = NAN;
    p.step(3, 1.0);
    CHECK(std::isnan(p.weights[0]));
    CHECK(p.status[0].first_fault == (std::uint64_t{3} << 32 | 0xffffffffu));
  }
}

TEST_CASE("after a warm-up, the first update of a step is as long as a first update", "[optim][steps]") {
  const auto move = [](std::int64_t number, std::int64_t uncalibrated) {
    const Layout layout = step_layout(StepKind::kLog, 1);
    Population p(layout.segments, layout.size, layout.stride, {{"adam"}});
    p.weights[0] = 0.0f;  // ln 1
    p.weights[1] = 1.0f;  // the calibrated step
    p.gradients[0] = 1.0f;
    p.step(number, 1e-3, TaskOrder::kForward, uncalibrated);
    return -p.weights[0];
  };
  CHECK(move(1, 0) == Approx(1e-2).epsilon(1e-5));
  CHECK(move(2001, 2000) == Approx(1e-2).epsilon(1e-5));
  CHECK(move(2001, 0) > 2e-2f);  // what a count from the start of training would do
}

}  // namespace gridstep::test
