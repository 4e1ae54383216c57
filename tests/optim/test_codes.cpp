// Weight codes that the update writes: those the quantizer would make of the new weights with the new steps.
#include <limits>

#include "engine/base/error.h"
#include "kernels/quantize/quantize.h"
#include "tests/optim/layout.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

constexpr int kSteps = 3;

void train(const Layout& layout, Population& p, TaskOrder order, int poisoned_replica = -1) {
  for (int r = 0; r < p.replicas(); ++r) {
    fill_replica(layout, p.weights.data() + p.stride * r, static_cast<std::uint32_t>(r));
  }
  for (int t = 1; t <= kSteps; ++t) {
    for (int r = 0; r < p.replicas(); ++r) {
      fill_gradients(layout, p.gradients.data() + p.stride * r, static_cast<std::uint32_t>(1000 * r + t), 3.0f);
    }
    // A gradient of a step and one of a weight, both with codes.
    if (t == 2 && poisoned_replica >= 0) {
      for (const int s : {2, 3}) {
        const Segment& segment = layout.segments[static_cast<std::size_t>(s)];
        p.gradients[p.stride * poisoned_replica + segment.begin] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    p.step(t, 1e-2, order);
  }
}

void check_codes(const Layout& layout, const Population& p, int replica) {
  const std::vector<CodedWeights> coded = coded_weights();
  for (std::size_t c = 0; c < coded.size(); ++c) {
    const Segment& weights = layout.segments[static_cast<std::size_t>(coded[c].weights)];
    const Segment& steps = layout.segments[static_cast<std::size_t>(coded[c].steps)];
    const float* const flat = p.weights.data() + p.stride * replica;
    const StepForm form = steps.step_kind == StepKind::kLog ? StepForm::kLog : StepForm::kLinear;
    const Index row = weights.size / steps.size;
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(weights.size), 0x55);
    std::vector<float> values;
    for (Index k = 0; k < steps.size; ++k) {
      values.push_back(step_value(flat[steps.begin + k], form));
      quantize_span({.range = coded[c].range}, flat + weights.begin + k * row, row, values.back(),
                    codes.data() + k * row);
    }
    INFO("code output " << c << ", replica " << replica);
    CHECK_SAME(compare_bits(p.code_memory[c].codes_of(replica), std::span<const std::uint8_t>(codes)));
    CHECK_SAME(compare_bits(p.code_memory[c].steps_of(replica), std::span<const float>(values)));
  }
}

}  // namespace

TEST_CASE("the update's codes are those of the new weights and steps, in any order of tasks", "[optim]") {
  const Layout layout = coded_layout();
  Population plain(layout.segments, layout.size, layout.stride, all_replica_rules());
  train(layout, plain, TaskOrder::kForward);
  for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kBackward, TaskOrder::kShuffled}) {
    Population p(layout.segments, layout.size, layout.stride, all_replica_rules(), &record_optimizer, coded_weights());
    train(layout, p, order);
    CHECK_SAME(compare_bits(p.weights, plain.weights));
    for (std::size_t k = 0; k < p.slots.size(); ++k) CHECK_SAME(compare_bits(p.slots[k], plain.slots[k]));
    for (int r = 0; r < p.replicas(); ++r) check_codes(layout, p, r);
  }
}

TEST_CASE("a replica that meets a NaN keeps the codes of its last weights", "[optim]") {
  const Layout layout = coded_layout();
  Population p(layout.segments, layout.size, layout.stride, {{"adam"}, {"adam"}, {"sgd_clip"}}, &record_optimizer,
               coded_weights());
  train(layout, p, TaskOrder::kShuffled, 1);
  CHECK(p.status[0].first_fault == 0);
  CHECK(p.status[1].first_fault == (2ull << 32 | 0xffffffffu));
  check_codes(layout, p, 0);
  check_codes(layout, p, 2);
  const Segment& weights = layout.segments[8];  // met no NaN, and rested from the third step on
  const Segment& steps = layout.segments[7];
  const float* const flat = p.weights.data() + p.stride;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(weights.size));
  for (Index k = 0; k < 3; ++k) {
    const float s = step_value(flat[steps.begin + k], StepForm::kLog);
    quantize_span({.range = coded_weights()[2].range}, flat + weights.begin + 4100 * k, 4100, s,
                  codes.data() + 4100 * k);
  }
  CHECK_SAME(compare_bits(p.code_memory[2].codes_of(1), std::span<const std::uint8_t>(codes)));
}

TEST_CASE("code outputs that cannot be are refused", "[optim]") {
  const Layout layout = coded_layout();
  const auto refused = [&](const std::vector<CodedWeights>& coded) {
    CHECK_THROWS_AS(Population(layout.segments, layout.size, layout.stride, {{"adam"}}, &record_optimizer, coded),
                    ConfigError);
  };
  refused({{0, 1, {-8, 7}}});                   // a bias is no step
  refused({{2, 4, {-8, 7}}});                   // a step has no codes
  refused({{0, 10, {-8, 7}}});                  // 4500 steps for 525 weights
  refused({{0, 2, {-8, 7}}, {5, 2, {-8, 7}}});  // one step for two tensors
}

}  // namespace gridstep::test
