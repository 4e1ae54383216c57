#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/add/add.h"
#include "tests/reference/classifier_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph head(Index n, Index classes, float smoothing, Storage labels = Storage::kInput) {
  Graph graph;
  const ValueId x = graph.add_input("x", {{n, classes}, DType::kF32});
  const ValueId y = graph.add_input("y", {{n}, DType::kS32}, labels);
  softmax_cross_entropy(graph, "loss", x, y, {smoothing});
  graph.add_node("back", softmax_cross_entropy_backward_op(), SoftmaxCrossEntropyAttrs{smoothing}, {x, y});
  return graph;
}

std::vector<int> labels_of(Index n, Index classes, unsigned seed) {
  std::vector<int> labels;
  for (const float v : normal_values(n, seed, 1000.0f)) {
    labels.push_back(static_cast<int>(std::fabs(v)) % static_cast<int>(classes));
  }
  return labels;
}

void fill_head(NodeBench& bench, Index n, Index classes, float spread) {
  for (int r = 0; r < 2; ++r) {
    const auto seed = static_cast<unsigned>(r) + 3;
    fill(bench.in<float>(0, r), normal_values(n * classes, seed, spread));
    fill(bench.in<std::int32_t>(1, r), labels_of(n, classes, seed + 20));
  }
}

}  // namespace

TEST_CASE("softmax cross-entropy, ranks and gradient equal the double oracle", "[kernels]") {
  for (const float smoothing : {0.0f, 0.1f}) {
    for (const auto& [n, classes] : {std::pair<Index, Index>{1, 1}, {1, 2}, {3, 10}, {16, 33}, {40, 130}, {5, 1000}}) {
      for (const float spread : {0.1f, 3.0f, 60.0f}) {
        INFO(n << " samples, " << classes << " classes, smoothing " << smoothing << ", spread " << spread);
        const Graph graph = head(n, classes, smoothing);
        NodeBench loss(graph, 0, 2), back(graph, 1, 2);
        fill_head(loss, n, classes, spread);
        fill_head(back, n, classes, spread);
        double first = 0.0;
        for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
          loss.run(order);
          back.run(order);
          for (int r = 0; r < 2; ++r) {
            const auto want = cross_entropy_oracle(copy_of(loss.in<float>(0, r)), copy_of(loss.in<std::int32_t>(1, r)),
                                                   static_cast<double>(smoothing));
            CHECK_SAME(compare(loss.out<double>(0, r), std::vector{want.loss}, {.abs = 3e-6, .rel = 3e-6}));
            CHECK_SAME(compare_exact(loss.out<double>(1, r), std::vector{want.first, want.five}));
            const double share = 1.0 / static_cast<double>(n);
            CHECK_SAME(compare(back.out<float>(0, r), want.gradient, {.abs = 3e-6 * share, .rel = 2e-5}));
          }
          if (order == TaskOrder::kForward) first = loss.out<double>(0)[0];
          CHECK(loss.out<double>(0)[0] == first);
        }
        CHECK(loss.status(1).loss_count == 3);
        CHECK(loss.status(1).first_fault == 0);
      }
    }
  }
}

TEST_CASE("ties are decided by the index", "[kernels]") {
  const Graph graph = head(4, 7, 0.0f);
  NodeBench bench(graph, 0);
  for (float& x : bench.in<float>(0)) x = 1.0f;
  fill(bench.in<std::int32_t>(1), std::vector{0, 4, 5, 6});
  bench.run();
  CHECK_SAME(compare_exact(bench.out<double>(1), std::vector{1.0, 2.0}));
  CHECK(bench.out<double>(0)[0] == Approx(std::log(7.0)));
}

TEST_CASE("NaN logits and labels outside the classes are faults of their replica alone", "[kernels]") {
  for (int kind = 0; kind < 4; ++kind) {
    const Graph graph = head(9, 5, 0.1f);
    NodeBench bench(graph, 0, 2);
    fill_head(bench, 9, 5, 1.0f);
    if (kind == 0) bench.in<float>(0, 1)[23] = std::numeric_limits<float>::quiet_NaN();
    if (kind == 1) bench.in<float>(0, 1)[20] = std::numeric_limits<float>::infinity();
    if (kind == 2) bench.in<std::int32_t>(1, 1)[8] = 5;
    if (kind == 3) bench.in<std::int32_t>(1, 1)[8] = -1;
    bench.params(1).step = 7;
    bench.run(TaskOrder::kForward, nullptr, 2);
    INFO(kind);
    CHECK(bench.status(0).first_fault == 0);
    CHECK(bench.status(1).first_fault == (std::uint64_t{7} << 32 | 3));
    CHECK(std::isfinite(bench.out<double>(0, 0)[0]));
    CHECK_FALSE(std::isfinite(bench.out<double>(0, 1)[0]));
  }
}

TEST_CASE("the gradient rule of cross-entropy agrees with differences", "[kernels]") {
  Graph graph;
  const ValueId x = add_trained(graph, "x", {4, 6});
  const ValueId y = graph.add_input("y", {{4}, DType::kS32});
  const ValueId loss = softmax_cross_entropy(graph, "loss", x, y, {0.1f}).loss;
  const std::vector<float> at = normal_values(24, 3, 1.5f);
  CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 0.02f, {.abs = 3e-5, .rel = 1e-3}, [&](GraphBench& bench) {
    fill(bench.values<std::int32_t>(y), std::vector{0, 5, 2, 2});
  }));
}

TEST_CASE("heads that cannot be are refused", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{4, 6}, DType::kF32}),
                image = graph.add_input("i", {{4, 6, 1, 1}, DType::kF32});
  const ValueId y = graph.add_input("y", {{4}, DType::kS32}), few = graph.add_input("f", {{3}, DType::kS32});
  CHECK_THROWS_AS(softmax_cross_entropy(graph, "a", x, few), ConfigError);
  CHECK_THROWS_AS(softmax_cross_entropy(graph, "b", image, y), ConfigError);
  CHECK_THROWS_AS(softmax_cross_entropy(graph, "c", x, x), ConfigError);
  CHECK_THROWS_AS(softmax_cross_entropy(graph, "d", x, y, {1.0f}), ConfigError);
}
