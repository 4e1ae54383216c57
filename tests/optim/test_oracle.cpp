#include "tests/optim/layout.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

// Rates at which 20 steps move the weights visibly: about a tenth.
double rate_of(std::string_view optimizer) {
  if (optimizer == "adadelta") return 1.0;
  if (optimizer == "lion") return 1e-3;
  return optimizer == "agc_sgd" ? 0.1 : 1e-2;
}

void check_against_oracle(const Layout& layout, const ReplicaRule& rule) {
  INFO(rule.optimizer);
  Population p(layout.segments, layout.size, layout.stride, {rule});
  fill_replica(layout, p.weights.data(), 7);
  reference::OracleOptimizer oracle(rule.optimizer, p.settings[0].values, oracle_tensors(layout, p.weights.data()));
  const std::vector<float> before = p.weights.part(0, p.stride);
  const double lr = rate_of(rule.optimizer);
  for (int t = 1; t <= 20; ++t) {
    fill_gradients(layout, p.gradients.data(), static_cast<std::uint32_t>(100 + t));
    p.step(t, lr);
    oracle.step(lr, split(layout, p.gradients.data()));
  }
  for (std::size_t k = 0; k < layout.segments.size(); ++k) {
    const Segment& s = layout.segments[k];
    INFO("segment " << k);
    // 20 roundings of weights up to 2 (spacing 1.2e-7), and float32 coefficients.
    CHECK_SAME(compare(p.weights.part(s.begin, s.size), oracle.tensors[k].value, {.abs = 1e-6, .rel = 1e-6}));
  }
  CHECK(p.weights.part(0, p.stride) != before);
  CHECK(p.status[0].clipped == static_cast<std::uint64_t>(oracle.clipped));
  CHECK(p.status[0].clippable == static_cast<std::uint64_t>(oracle.clippable));
  CHECK(p.status[0].first_fault == 0);
}

}  // namespace

TEST_CASE("optimizers agree with the double-precision oracle over mixed segments", "[optim]") {
  const Layout layout = mixed_layout();
  for (const ReplicaRule& rule : all_replica_rules()) check_against_oracle(layout, rule);
}

TEST_CASE("optimizers agree with the oracle on the smallest and on odd sizes", "[optim]") {
  for (const Index size : {1, 2, 3, 31, 33, 4095, 4097}) {
    INFO("size " << size);
    Layout layout;
    layout.add(Role::kWeight, size, 1);
    layout.finish(0);
    for (const ReplicaRule& rule : all_replica_rules()) check_against_oracle(layout, rule);
  }
}

TEST_CASE("nothing outside of the segments is written", "[optim]") {
  const Layout layout = mixed_layout();
  std::vector<bool> covered(static_cast<std::size_t>(layout.stride), false);
  for (const Segment& s : layout.segments) {
    for (Index i = s.begin; i < s.begin + s.size; ++i) covered[static_cast<std::size_t>(i)] = true;
  }
  for (const ReplicaRule& rule : all_replica_rules()) {
    INFO(rule.optimizer);
    Population p(layout.segments, layout.size, layout.stride, {rule});
    fill_replica(layout, p.weights.data(), 3);
    for (Index i = 0; i < layout.stride; ++i) {
      p.gradients[i] = covered[static_cast<std::size_t>(i)] ? 1.0f : NAN;  // a gap that is read shows
      if (!covered[static_cast<std::size_t>(i)] && i < layout.size) p.weights[i] = 42.0f;
    }
    const std::vector<float> before = p.weights.part(0, p.stride);
    p.step(1, 1e-2);
    for (Index i = 0; i < layout.stride; ++i) {
      if (covered[static_cast<std::size_t>(i)]) continue;
      REQUIRE(p.weights[i] == before[static_cast<std::size_t>(i)]);
      for (const FloatArray& slot : p.slots) REQUIRE(slot[i] == 0.0f);
    }
    CHECK(p.status[0].first_fault == 0);
  }
}

TEST_CASE("weight decay spares biases, and steps unless set", "[optim]") {
  Layout layout;
  layout.add(Role::kWeight, 6, 2);
  layout.add(Role::kBias, 6, 1);
  layout.add(Role::kStep, 6, 1, 0, true, StepKind::kLinear);
  layout.finish(0);
  for (const OptimizerInfo& info : all_optimizers()) {
    INFO(info.name);
    for (const double step_decay : {0.0, 0.5}) {
      Population p(layout.segments, layout.size, layout.stride,
                   {{std::string(info.name), {{"weight_decay", 0.5}, {"step_weight_decay", step_decay}}}});
      for (Index i = 0; i < layout.stride; ++i) p.weights[i] = 1.0f;
      p.step(1, 1e-2);  // gradients are zero: only decay moves anything
      for (Index i = 0; i < 6; ++i) {
        CHECK(p.weights[i] < 1.0f);
        CHECK(p.weights[6 + i] == 1.0f);
        CHECK((p.weights[12 + i] < 1.0f) == (step_decay > 0.0));
      }
    }
  }
}

TEST_CASE("the learning rate of steps has its own factor", "[optim]") {
  Layout layout;
  layout.add(Role::kBias, 1, 1);
  layout.add(Role::kStep, 1, 1, 0, true, StepKind::kLinear);
  layout.finish(0);
  for (const OptimizerInfo& info : all_optimizers()) {
    INFO(info.name);
    Population p(layout.segments, layout.size, layout.stride, {{std::string(info.name), {{"weight_decay", 0.0}}}});
    for (Index i = 0; i < layout.stride; ++i) p.weights[i] = 1.0f;
    // Small enough for agc_sgd not to clip the bias, of size 1.
    p.gradients[0] = p.gradients[1] = 1.0f / 128;
    p.step(1, 1.0 / 1024);
    const float moved = 1.0f - p.weights[0];
    CHECK(moved > 0.0f);
    CHECK(1.0f - p.weights[1] == Approx(moved * (info.adaptive ? 10.0f : 1.0f)).epsilon(1e-3));
  }
}

TEST_CASE("centred rmsprop survives a variance that rounds below zero", "[optim]") {
  Layout layout;
  layout.add(Role::kBias, 256, 1);
  layout.finish(0);
  Population p(layout.segments, layout.size, layout.stride,
               {{"rmsprop", {{"centered", 1}, {"alpha", 0.5}, {"eps", 1.0}}}});
  fill_gradients(layout, p.gradients.data(), 5);
  for (int t = 1; t <= 60; ++t) p.step(t, 1e-3);  // constant gradients: v and a^2 meet
  int below = 0;
  for (Index i = 0; i < p.size; ++i) below += p.slots[0][i] - p.slots[2][i] * p.slots[2][i] < 0.0f ? 1 : 0;
  CHECK(below > 0);
  CHECK(p.status[0].first_fault == 0);
}

}  // namespace gridstep::test
