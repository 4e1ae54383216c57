#include "tests/golden/optim/optim_golden.h"
#include "tests/optim/population.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

// The inputs of make_optim_golden.py.
float golden_start(int i) { return static_cast<float>((i * 37 + 11) % 64 - 32) / 64.0f; }
float golden_gradient(int t, int i) {
  return i == 5 ? 0.0f : static_cast<float>((i * 29 + t * 53 + 7) % 97 - 48) / 32.0f;
}

// 20 roundings of a weight below 1 add up to about 1e-7 (float32 spacing 6e-8).
constexpr Tolerance kTolerance{.abs = 2e-7, .rel = 1e-6};

}  // namespace

TEST_CASE("every optimizer follows its golden trajectory", "[optim][golden]") {
  for (const OptimizerInfo& info : all_optimizers()) {
    int rows = 0;
    for (const OptimGolden& golden : kOptimGolden) {
      if (golden.optimizer != info.name) continue;
      ++rows;
      INFO(golden.optimizer << ", row " << rows);
      const std::vector<Segment> segments = {{.begin = 0, .size = 12, .unit = 4, .role = Role::kWeight},
                                             {.begin = 12, .size = 5, .unit = 5, .role = Role::kBias}};
      Population p(segments, kGoldenValues, kGoldenValues, {{golden.optimizer, golden.settings}});
      for (int i = 0; i < kGoldenValues; ++i) p.weights[i] = golden_start(i);
      std::size_t saved = 0;
      for (int t = 1; t <= kGoldenSteps.back(); ++t) {
        for (int i = 0; i < kGoldenValues; ++i) p.gradients[i] = golden_gradient(t, i);
        p.step(t, golden.lr);
        if (t != kGoldenSteps[saved]) continue;
        INFO("step " << t);
        CHECK_SAME(compare(p.weights, golden.weights[saved], kTolerance));
        ++saved;
      }
      CHECK(saved == kGoldenSteps.size());
    }
    INFO("tests/golden/optim has no row for " << info.name);
    CHECK(rows > 0);
  }
}

TEST_CASE("every golden row belongs to an optimizer", "[optim][golden]") {
  for (const OptimGolden& golden : kOptimGolden) CHECK_NOTHROW(find_optimizer(golden.optimizer));
}

}  // namespace gridstep::test
