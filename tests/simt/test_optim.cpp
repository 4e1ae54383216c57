// The optimizers' CUDA driver against the CPU's: weights, slots and counters agree in every bit.
#include <cmath>
#include <functional>

#include "simt.h"
#include "tests/optim/layout.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

// The thread sanitizer needs minutes for what takes seconds: less of what tells it nothing new.
constexpr int kSteps = simt::kRaceDetector ? 2 : 3;

// Changes a population before its step t.
using Disturb = std::function<void(Population&, int t)>;

void train(Population& p, const Layout& layout, bool cuda, const Disturb& disturb) {
  for (int r = 0; r < p.replicas(); ++r) {
    fill_replica(layout, p.weights.data() + p.stride * r, static_cast<std::uint32_t>(r));
  }
  for (int t = 1; t <= kSteps; ++t) {
    for (int r = 0; r < p.replicas(); ++r) {
      fill_gradients(layout, p.gradients.data() + p.stride * r, static_cast<std::uint32_t>(1000 * r + t),
                     r % 3 == 2 ? 100.0f : 1.0f);
    }
    if (disturb) disturb(p, t);
    if (cuda) {
      p.step_once(t, 1e-2);
    } else {
      p.step(t, 1e-2);
    }
  }
}

void check_same_training(const Layout& layout, const std::vector<ReplicaRule>& rules, int random_schedules,
                         const Disturb& disturb = {}, const std::vector<CodedWeights>& coded = {}) {
  Population cpu(layout.segments, layout.size, layout.stride, rules, &record_optimizer, coded);
  train(cpu, layout, false, disturb);
  simt::for_each_schedule(random_schedules, [&] {
    Population cuda(layout.segments, layout.size, layout.stride, rules, &record_optimizer_cuda, coded);
    train(cuda, layout, true, disturb);
    REQUIRE(cuda.launches.size() == cpu.launches.size());
    CHECK_SAME(compare_bits(cuda.weights, cpu.weights));
    for (std::size_t k = 0; k < cpu.slots.size(); ++k) CHECK_SAME(compare_bits(cuda.slots[k], cpu.slots[k]));
    for (std::size_t c = 0; c < coded.size(); ++c) {
      CHECK_SAME(compare_bits(cuda.code_memory[c].codes, cpu.code_memory[c].codes));
      CHECK_SAME(compare_bits(cuda.code_memory[c].step_values, cpu.code_memory[c].step_values));
    }
    for (std::size_t r = 0; r < cpu.status.size(); ++r) {
      INFO(rules[r].optimizer);
      CHECK(cuda.status[r].first_fault == cpu.status[r].first_fault);
      CHECK(cuda.status[r].clipped == cpu.status[r].clipped);
      CHECK(cuda.status[r].clippable == cpu.status[r].clippable);
    }
  });
}

// What could race depends on the kind of norms only.
std::vector<ReplicaRule> rules_of_every_norm() {
  return simt::kRaceDetector ? std::vector<ReplicaRule>{{"adam"}, {"sgd_clip"}, {"agc_sgd"}, {"lion"}}
                             : all_replica_rules();
}

}  // namespace

TEST_CASE("every optimizer on mixed segments") { check_same_training(mixed_layout(), all_replica_rules(), 1); }

TEST_CASE("every optimizer writes the codes of its new weights") {
  check_same_training(coded_layout(), rules_of_every_norm(), 1, {}, coded_weights());
}

TEST_CASE("codes of replicas with a fault") {
  const Layout layout = coded_layout();
  const auto disturb = [&](Population& p, int t) {
    p.gradients[p.stride + layout.segments[2].begin + 3] = t == 2 ? NAN : 1.0f;
    p.gradients[2 * p.stride + layout.segments[3].begin + 3] = t == 2 ? INFINITY : 1.0f;
    if (t == 2) p.status[3].first_fault = (2ull << 32) | 3;
  };
  check_same_training(layout, {{"adam"}, {"adam"}, {"sgd"}, {"lion"}, {"sgd_clip"}}, 0, disturb, coded_weights());
}

TEST_CASE("gradients that are not finite, and replicas with a fault") {
  const Layout layout = mixed_layout();
  const Index first = layout.segments.front().begin, last = layout.segments.back().begin;
  check_same_training(layout, rules_of_every_norm(), 0, [&](Population& p, int t) {
    for (int r = 0; r < p.replicas(); ++r) {
      if (t == 3 && r % 4 == 1) p.gradients[p.stride * r + last + 5] = NAN;
      if (t == 2 && r % 4 == 2) p.gradients[p.stride * r + first + 5] = INFINITY;
      if (t == 2 && r % 4 == 3) p.status[static_cast<std::size_t>(r)].first_fault = (2ull << 32) | 3;
    }
  });
}

TEST_CASE("segments of awkward sizes") {
  for (const Index n : {1, 2, 3, 5, 255, 1025, 4096, 4097}) {
    Layout layout;
    layout.add(Role::kWeight, n, 1, n % 3);
    layout.add(Role::kStep, 3, 1, 0, true, StepKind::kLinear);
    layout.finish(n % 2);
    check_same_training(layout, rules_of_every_norm(), 0);
  }
}

TEST_CASE("more tiles than one block adds up at once") {
  // Neighbours whose sums must not meet, one that clips nothing.
  std::vector<ReplicaRule> rules{
      {"sgd_clip", {{"max_norm", 3.0}}}, {"sgd_clip", {{"max_norm", 1e9}}}, {"sgd_clip"}, {"agc_sgd"}};
  if (simt::kRaceDetector) rules.erase(rules.begin(), rules.begin() + 2);
  for (const int segments : {300, 303}) {  // units: of the last block four warps have none, then one
    if (simt::kRaceDetector && segments == 300) continue;
    Layout layout;
    for (int i = 0; i < segments; ++i) layout.add(i % 3 != 0 ? Role::kWeight : Role::kBias, 12 + i % 7, 1);
    layout.finish(0);
    check_same_training(layout, rules, 0);
  }
}
