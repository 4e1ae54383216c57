#include <limits>

#include "tests/optim/layout.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

constexpr int kSteps = 4;

std::uint32_t gradient_seed(int replica, int t) { return static_cast<std::uint32_t>(1000 * replica + t); }

void train(const Layout& layout, Population& p, int first_replica, TaskOrder order = TaskOrder::kForward) {
  for (int r = 0; r < p.replicas(); ++r) {
    fill_replica(layout, p.weights.data() + p.stride * r, static_cast<std::uint32_t>(first_replica + r));
  }
  for (int t = 1; t <= kSteps; ++t) {
    for (int r = 0; r < p.replicas(); ++r) {
      fill_gradients(layout, p.gradients.data() + p.stride * r, gradient_seed(first_replica + r, t));
    }
    p.step(t, 1e-2, order);
  }
}

void check_same_replica(const Population& a, int replica_a, const Population& b, int replica_b) {
  CHECK_SAME(
      compare_bits(a.weights.part(a.stride * replica_a, a.stride), b.weights.part(b.stride * replica_b, b.stride)));
  for (std::size_t k = 0; k < std::min(a.slots.size(), b.slots.size()); ++k) {
    CHECK_SAME(
        compare_bits(a.slots[k].part(a.stride * replica_a, a.stride), b.slots[k].part(b.stride * replica_b, b.stride)));
  }
  const ReplicaStatus& x = a.status[static_cast<std::size_t>(replica_a)];
  const ReplicaStatus& y = b.status[static_cast<std::size_t>(replica_b)];
  CHECK(x.first_fault == y.first_fault);
  CHECK(x.clipped == y.clipped);
  CHECK(x.clippable == y.clippable);
}

}  // namespace

TEST_CASE("a replica in a population of different rules equals its solo run bit for bit", "[optim]") {
  const Layout layout = mixed_layout();
  const std::vector<ReplicaRule> rules = all_replica_rules();
  Population all(layout.segments, layout.size, layout.stride, rules);
  train(layout, all, 0);
  for (int r = 0; r < all.replicas(); ++r) {
    INFO(rules[static_cast<std::size_t>(r)].optimizer);
    Population solo(layout.segments, layout.size, layout.stride, {rules[static_cast<std::size_t>(r)]});
    train(layout, solo, r);
    check_same_replica(all, r, solo, 0);
  }
}

TEST_CASE("the order of tasks and replicas changes no bit", "[optim]") {
  const Layout layout = mixed_layout();
  Population forward(layout.segments, layout.size, layout.stride, all_replica_rules());
  train(layout, forward, 0);
  for (const TaskOrder order : {TaskOrder::kBackward, TaskOrder::kShuffled}) {
    Population other(layout.segments, layout.size, layout.stride, all_replica_rules());
    train(layout, other, 0, order);
    for (int r = 0; r < other.replicas(); ++r) check_same_replica(forward, r, other, r);
  }
}

TEST_CASE("a norms launch exists only where a rule needs it", "[optim]") {
  const Layout layout = mixed_layout();
  for (const OptimizerInfo& info : all_optimizers()) {
    const Population p(layout.segments, layout.size, layout.stride, {{"adam"}, {std::string(info.name)}});
    CHECK(p.launches.size() == (info.norms == Norms::kNone ? 1u : 2u));
  }
}

TEST_CASE("a replica with a fault rests", "[optim]") {
  const Layout layout = mixed_layout();
  const std::vector<ReplicaRule> rules = all_replica_rules();
  Population p(layout.segments, layout.size, layout.stride, rules);
  train(layout, p, 0);
  const std::uint64_t fault = std::uint64_t{kSteps + 1} << 32 | 12;  // by an operation of the very step that follows
  for (ReplicaStatus& status : p.status) status.first_fault = fault;
  const std::vector<float> weights = p.weights.part(0, p.stride * p.replicas());
  std::vector<std::vector<float>> slots;
  for (const FloatArray& slot : p.slots) slots.push_back(slot.part(0, p.stride * p.replicas()));
  const std::vector<ReplicaStatus> status = p.status;
  p.step(kSteps + 1, 1e-2);
  CHECK_SAME(compare_bits(p.weights, weights));
  for (std::size_t k = 0; k < slots.size(); ++k) CHECK_SAME(compare_bits(p.slots[k], slots[k]));
  for (std::size_t r = 0; r < status.size(); ++r) {
    CHECK(p.status[r].first_fault == fault);
    CHECK(p.status[r].clippable == status[r].clippable);
  }
}

TEST_CASE("an update that makes a weight infinite or NaN is a fault of its replica alone", "[optim]") {
  const Layout layout = mixed_layout();
  const Segment& last = layout.segments.back();
  for (const float poison : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const OptimizerInfo& info : all_optimizers()) {
      if (info.name == "sgd_clip") continue;  // skips the step instead, see below
      INFO(info.name);
      const ReplicaRule rule{std::string(info.name)};
      Population p(layout.segments, layout.size, layout.stride, {rule, rule});
      train(layout, p, 0);
      // A gradient of infinity is a step of the ordinary size under lion: only a weight shows it there.
      (info.name == "lion" && poison > 0 ? p.weights : p.gradients)[last.begin + last.size - 1] = poison;
      p.step(9, 1e-2);
      CHECK(p.status[0].first_fault == (std::uint64_t{9} << 32 | 0xffffffffu));
      CHECK(p.status[1].first_fault == 0);
      const std::vector<float> weights = p.weights.part(0, p.stride);
      p.step(10, 1e-2);
      CHECK_SAME(compare_bits(p.weights.part(0, p.stride), weights));
      CHECK(p.status[0].first_fault == (std::uint64_t{9} << 32 | 0xffffffffu));
      CHECK(p.status[1].first_fault == 0);
    }
  }
}

TEST_CASE("what a faulty update leaves does not depend on the order of tasks", "[optim]") {
  const Layout layout = mixed_layout();
  const auto after_fault = [&](TaskOrder order) {
    Population p(layout.segments, layout.size, layout.stride, {{"adam"}});
    train(layout, p, 0);
    REQUIRE(p.launches.back().tasks > 1);
    p.gradients[layout.segments.front().begin] = NAN;
    p.gradients[layout.segments.back().begin] = NAN;
    p.step(kSteps + 1, 1e-2, order);
    CHECK(p.status[0].first_fault != 0);
    return p.weights.part(0, p.stride);
  };
  CHECK_SAME(compare_bits(after_fault(TaskOrder::kForward), after_fault(TaskOrder::kBackward)));
}

TEST_CASE("sgd_clip skips and counts a step whose norm is not finite", "[optim]") {
  const Layout layout = mixed_layout();
  for (const float poison : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Population p(layout.segments, layout.size, layout.stride, {{"sgd_clip", {{"momentum", 0.9}, {"max_norm", 1e6}}}});
    train(layout, p, 0);
    CHECK(p.status[0].clippable == kSteps);
    CHECK(p.status[0].clipped == 0);
    const std::vector<float> weights = p.weights.part(0, p.stride), momentum = p.slots[0].part(0, p.stride);
    const float good = p.gradients[0];
    p.gradients[0] = poison;
    p.step(kSteps + 1, 1e-2);
    CHECK_SAME(compare_bits(p.weights, weights));
    CHECK_SAME(compare_bits(p.slots[0], momentum));
    CHECK(p.status[0].clippable == kSteps + 1);
    CHECK(p.status[0].clipped == 1);
    CHECK(p.status[0].first_fault == 0);
    p.gradients[0] = good;
    p.step(kSteps + 2, 1e-2);
    CHECK(p.weights.part(0, p.stride) != weights);
    CHECK(p.status[0].clipped == 1);
  }
}

TEST_CASE("agc_sgd clips and counts units, but neither heads nor steps", "[optim]") {
  Layout layout;
  layout.add(Role::kWeight, 4 * 9, 4);
  layout.add(Role::kBias, 5, 1);
  layout.add(Role::kWeight, 2 * 8, 2, 0, false);
  layout.add(Role::kStep, 3, 1, 0, true, StepKind::kLinear);
  layout.finish(0);
  Population p(layout.segments, layout.size, layout.stride, {{"agc_sgd", {{"clipping", 0.5}}}});
  for (Index i = 0; i < layout.stride; ++i) p.weights[i] = 1.0f;
  for (Index i = 0; i < layout.size; ++i) p.gradients[i] = i < 18 || i >= 41 ? 4.0f : 0.25f;
  p.step(1, 0.125);
  for (Index i = 0; i < 18; ++i)
    CHECK(p.weights[i] == 1.0f - 0.125f * 0.5f);  // two units, clipped to half their weights
  for (Index i = 18; i < 41; ++i) CHECK(p.weights[i] == 1.0f - 0.125f * 0.25f);  // two units and the bias, below
  for (Index i = 41; i < 60; ++i) CHECK(p.weights[i] == 1.0f - 0.125f * 4.0f);   // head and steps
  CHECK(p.status[0].clipped == 2);
  CHECK(p.status[0].clippable == 5);
}

TEST_CASE("an arena that breaks its contract is refused", "[optim]") {
  const auto record = [](std::vector<Segment> segments) { Population(std::move(segments), 10, 12, {{"agc_sgd"}}); };
  const Segment good{.begin = 0, .size = 8, .unit = 4};
  const auto with = [&](auto change) {
    Segment s = good;
    change(s);
    return s;
  };
  CHECK_NOTHROW(record({good}));
  CHECK_THROWS_AS(record({with([](Segment& s) { s.size = 11; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.unit = 3; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.unit = 0; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.role = Role::kState; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.role = Role::kStep; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.step_kind = StepKind::kLog; })}), ConfigError);
  CHECK_THROWS_AS(record({with([](Segment& s) { s.begin = -1; })}), ConfigError);
  CHECK_THROWS_AS(record({good, with([](Segment& s) { s.begin = 7, s.size = 1, s.unit = 1; })}), ConfigError);
  const Segment steps{.begin = 0, .size = 2, .role = Role::kStep, .step_kind = StepKind::kLog, .step0 = 10};
  CHECK_NOTHROW(record({steps}));
  Segment outside = steps;
  outside.step0 = 11;
  CHECK_THROWS_AS(record({outside}), ConfigError);
}

TEST_CASE("a network without trained floats records nothing", "[optim]") {
  const Population p({{.begin = 0, .size = 0}}, 0, 0, {{"sgd_clip"}});
  CHECK(p.launches.empty());
}

TEST_CASE("a replica whose rule the arena was not made for is refused", "[optim]") {
  Population p({{.begin = 0, .size = 4, .unit = 4}}, 4, 4, {{"sgd"}});
  p.rules[0] = find_optimizer("adam");
  p.settings[0] = resolve_settings(p.rules[0]);
  CHECK_THROWS_AS(p.step(1, 1e-2), Error);
}

}  // namespace gridstep::test
