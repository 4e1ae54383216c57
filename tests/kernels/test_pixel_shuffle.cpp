#include "kernels/pixel_shuffle/pixel_shuffle.h"

#include "tests/reference/pixel_shuffle_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct Case {
  Index n, h, w, c;
  int r;
};

Shape deep(const Case& k) { return {k.n, k.h, k.w, k.c * k.r * k.r}; }
Shape wide(const Case& k) { return {k.n, k.h * k.r, k.w * k.r, k.c}; }

ShuffleOracle oracle(const Case& k) {
  const auto s = [](Index i) { return static_cast<std::size_t>(i); };
  return {s(k.n), s(k.h), s(k.w), s(k.c), s(k.r)};
}

const std::vector<Case> kCases{{1, 1, 1, 1, 1}, {1, 3, 5, 3, 2}, {2, 4, 3, 3, 3}, {9, 2, 3, 3, 4}, {3, 2, 2, 1, 2},
                               {1, 2, 7, 1, 3}, {2, 1, 3, 1, 4}, {2, 3, 2, 5, 3}, {1, 2, 2, 2, 5}, {11, 5, 1, 4, 1}};

}  // namespace

TEST_CASE("pixel_shuffle and its gradient are the definition's permutation", "[kernels]") {
  for (const Case& k : kCases) {
    INFO(deep(k).text() << " r " << k.r);
    Graph graph;
    const ValueId x = graph.add_input("x", {deep(k), DType::kF32}), dy = graph.add_input("dy", {wide(k), DType::kF32});
    const ValueId y = pixel_shuffle(graph, "shuffle", x, {k.r});
    REQUIRE(graph.spec(y) == ValueSpec{wide(k), DType::kF32});
    const ValueId dx = graph.add_node("back", pixel_shuffle_backward_op(), PixelShuffleAttrs{k.r}, {dy})[0];
    REQUIRE(graph.spec(dx) == graph.spec(x));
    for (const NodeId node : {0, 1}) {
      NodeBench bench(graph, node, 2);
      for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse}) {
        for (int replica = 0; replica < 2; ++replica) {
          fill(bench.in<float>(0, replica), normal_values(deep(k).elements(), static_cast<unsigned>(replica) + 1));
        }
        bench.run(order);
        for (int replica = 0; replica < 2; ++replica) {
          const std::vector<float> in = copy_of(bench.in<float>(0, replica));
          CHECK_SAME(
              compare_bits(bench.out<float>(0, replica), node == 0 ? oracle(k).forward(in) : oracle(k).backward(in)));
        }
      }
    }
  }
}

TEST_CASE("pixel_shuffle names what does not fit", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {Shape{1, 2, 2, 10}, DType::kF32});
  CHECK_THROWS_WITH(pixel_shuffle(graph, "up", x, {3}),
                    Catch::Matchers::Contains("10") && Catch::Matchers::Contains("9"));
  CHECK_THROWS_AS(pixel_shuffle(graph, "up", x, {0}), ConfigError);
  CHECK_THROWS_AS(graph.add_node("back", pixel_shuffle_backward_op(), PixelShuffleAttrs{3}, {x}), ConfigError);
}
