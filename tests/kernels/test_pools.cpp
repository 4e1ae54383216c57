#include <cmath>
#include <limits>

#include "kernels/add/add.h"
#include "kernels/global_avg_pool/global_avg_pool.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/max_pool/max_pool.h"
#include "tests/reference/classifier_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Window {
  int window, stride, pad;
};

const std::vector<ImageSize> kSizes{{1, 1, 1, 1}, {2, 3, 5, 3}, {3, 8, 8, 16}, {1, 7, 13, 67}, {9, 4, 4, 130}};
const std::vector<Window> kWindows{{3, 2, 1}, {2, 2, 0}, {3, 1, 1}, {5, 3, 2}, {1, 1, 0}, {3, 4, 1}};

Shape shape_of(const ImageSize& s) { return {s.n, s.h, s.w, s.c}; }

bool fits(const ImageSize& s, const Window& w) { return std::min(s.h, s.w) + 2 * w.pad >= w.window; }

}  // namespace

TEST_CASE("global average pooling equals the double oracle", "[kernels]") {
  for (const ImageSize& s : kSizes) {
    INFO(shape_of(s).text());
    Graph graph;
    const ValueId x = graph.add_input("x", {shape_of(s), DType::kF32});
    const ValueId y = global_avg_pool(graph, "pool", x);
    graph.add_node("back", global_avg_pool_backward_op(), GlobalAvgPoolBackwardAttrs{s.h, s.w}, {y});
    NodeBench pool(graph, 0, 2), back(graph, 1, 2);
    for (int r = 0; r < 2; ++r) {
      fill(pool.in<float>(0, r), normal_values(shape_of(s).elements(), static_cast<unsigned>(r) + 1));
      fill(back.in<float>(0, r), normal_values(s.n * s.c, static_cast<unsigned>(r) + 5));
    }
    pool.run(TaskOrder::kShuffled);
    back.run(TaskOrder::kReverse);
    for (int r = 0; r < 2; ++r) {
      CHECK_SAME(
          compare(pool.out<float>(0, r), mean_oracle(copy_of(pool.in<float>(0, r)), s), {.abs = 1e-9, .rel = 1e-7}));
      std::vector<double> want;
      for (int i = 0; i < s.n; ++i)
        for (int p = 0; p < s.h * s.w; ++p)
          for (int c = 0; c < s.c; ++c)
            want.push_back(static_cast<double>(back.in<float>(0, r)[static_cast<std::size_t>(i * s.c + c)]) /
                           (s.h * s.w));
      CHECK_SAME(compare(back.out<float>(0, r), want, {.rel = 2e-7}));
    }
  }
}

TEST_CASE("max pooling equals the double oracle exactly", "[kernels]") {
  for (const ImageSize& s : kSizes) {
    for (const Window& w : kWindows) {
      if (!fits(s, w)) continue;
      INFO(shape_of(s).text() << ", window " << w.window << ", stride " << w.stride << ", pad " << w.pad);
      Graph graph;
      const ValueId x = graph.add_input("x", {shape_of(s), DType::kF32});
      const MaxPoolAttrs attrs{w.window, w.stride, w.pad, s.h, s.w};
      const auto out = graph.add_node("pool", max_pool_op(), attrs, {x});
      graph.add_node("back", max_pool_backward_op(), attrs, out);
      NodeBench pool(graph, 0, 2), back(graph, 1, 2);
      for (int r = 0; r < 2; ++r) {
        // Few values, so that ties are many.
        std::vector<float> values = normal_values(shape_of(s).elements(), static_cast<unsigned>(r) + 1, 2.0f);
        for (float& v : values) v = std::nearbyint(v);
        fill(pool.in<float>(0, r), values);
      }
      pool.run(TaskOrder::kShuffled);
      for (int r = 0; r < 2; ++r) {
        std::vector<float> dy = normal_values(graph.spec(out[0]).shape.elements(), static_cast<unsigned>(r) + 9, 8.0f);
        for (float& v : dy) v = std::nearbyint(v);  // sums of few whole numbers are exact
        fill(back.in<float>(0, r), dy);
        fill(back.in<std::uint8_t>(1, r), copy_of(pool.out<std::uint8_t>(1, r)));
      }
      back.run(TaskOrder::kReverse);
      for (int r = 0; r < 2; ++r) {
        const MaxOracle want =
            max_oracle(copy_of(pool.in<float>(0, r)), copy_of(back.in<float>(0, r)), s, w.window, w.stride, w.pad);
        CHECK_SAME(compare_exact(pool.out<float>(0, r), want.y));
        CHECK_SAME(compare_exact(back.out<float>(0, r), want.dx));
      }
    }
  }
}

TEST_CASE("a NaN is the largest of its window, the first one", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{1, 2, 2, 1}, DType::kF32});
  graph.add_node("pool", max_pool_op(), MaxPoolAttrs{2, 2, 0}, {x});
  NodeBench bench(graph, 0);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  fill(bench.in<float>(0), std::vector{5.0f, nan, 7.0f, nan});
  bench.run();
  CHECK(std::isnan(bench.out<float>(0)[0]));
  CHECK(bench.out<std::uint8_t>(1)[0] == 1);
}

TEST_CASE("gradient rules of pools agree with differences", "[kernels]") {
  for (const bool largest : {false, true}) {
    const Shape shape{2, 5, 4, 3};
    Graph graph;
    const ValueId x = add_trained(graph, "x", shape);
    const ValueId y = largest ? max_pool(graph, "pool", x, {3, 2, 1}) : global_avg_pool(graph, "pool", x);
    const ValueId target = graph.add_input("target", {graph.spec(y).shape, DType::kU8});
    const ValueId loss = image_loss(graph, "loss", y, target, LossKind::kMse);
    std::vector<float> at = normal_values(shape.elements(), 3, 0.3f, 2.0f);
    for (std::size_t i = 0; i < at.size(); ++i) at[i] += 0.05f * static_cast<float>(i % 7);  // no ties within h
    CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 1e-3f, {.abs = 2e-4, .rel = 5e-3}, [&](GraphBench& bench) {
      fill(bench.values<std::uint8_t>(target), byte_values(graph.spec(y).shape.elements(), 5));
    }));
  }
}

TEST_CASE("pools that cannot be are refused", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{1, 2, 2, 1}, DType::kF32}),
                codes = graph.add_input("c", {{1, 2, 2, 1}, DType::kU8});
  CHECK_THROWS_AS(global_avg_pool(graph, "a", codes), ConfigError);
  CHECK_THROWS_AS(max_pool(graph, "b", codes, {}), ConfigError);
  CHECK_THROWS_AS(max_pool(graph, "c", x, {5, 1, 0}), ConfigError);
  CHECK_THROWS_AS(max_pool(graph, "d", x, {3, 2, 2}), ConfigError);
  CHECK_THROWS_AS(max_pool(graph, "e", x, {3, 0, 1}), ConfigError);
}
