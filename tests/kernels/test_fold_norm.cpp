// fold_norm against its definition in long double: one step, steps per channel, filters; gains of every sign.
#include "kernels/fold_norm/fold_norm.h"

#include <cmath>

#include "engine/base/error.h"
#include "tests/reference/fold_norm_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Graph fold_graph(const Shape& w, Index channels, bool biased, float eps = 1e-5f) {
  Graph g;
  std::vector<ValueId> in{g.add_input("w", {w, DType::kF32})};
  for (const char* name : {"gamma", "beta", "mean", "var"}) in.push_back(g.add_input(name, {{channels}, DType::kF32}));
  in.push_back(biased ? g.add_input("b", {{channels}, DType::kF32}) : kNoValue);
  g.add_node("fold", fold_norm_op(), FoldNormAttrs{eps}, in);
  return g;
}

FoldCase random_case(Index weights, Index channels, bool biased, unsigned seed) {
  FoldCase c;
  c.w = normal_values(weights, seed);
  c.gamma = normal_values(channels, seed + 1);
  c.beta = normal_values(channels, seed + 2);
  c.mean = normal_values(channels, seed + 3, 3.0f);
  c.var = normal_values(channels, seed + 4);
  for (float& v : c.var) v = v * v;
  if (biased) c.bias = normal_values(channels, seed + 5);
  c.gamma[0] = 0.0f;
  c.var[static_cast<std::size_t>(channels) - 1] = 1e-12f;
  return c;
}

void fill_case(NodeBench& bench, const FoldCase& c, int replica) {
  fill(bench.in<float>(0, replica), c.w);
  fill(bench.in<float>(1, replica), c.gamma);
  fill(bench.in<float>(2, replica), c.beta);
  fill(bench.in<float>(3, replica), c.mean);
  fill(bench.in<float>(4, replica), c.var);
  if (!c.bias.empty()) fill(bench.in<float>(5, replica), c.bias);
}

}  // namespace

TEST_CASE("fold_norm agrees with the definition, each result rounded once", "[fold_norm]") {
  for (const Index channels : {1, 5, 64}) {
    for (const Shape& w : {Shape{1}, Shape{channels}, Shape{channels, 3, 3, 7}}) {
      for (const bool biased : {false, true}) {
        INFO(w.text() << (biased ? ", with bias" : ""));
        const Graph graph = fold_graph(w, channels, biased);
        CHECK(graph.spec(graph.node(0).outputs[0]).shape == (w == Shape{1} ? Shape{channels} : w));
        NodeBench bench(graph, 0, 2);
        for (int r = 0; r < 2; ++r)
          fill_case(bench, random_case(w.elements(), channels, biased, 7 + 10u * static_cast<unsigned>(r)), r);
        bench.run(TaskOrder::kShuffled);
        for (int r = 0; r < 2; ++r) {
          const FoldCase c = random_case(w.elements(), channels, biased, 7 + 10u * static_cast<unsigned>(r));
          const FoldOracle want = fold_norm_oracle(c);
          CHECK_SAME(compare(bench.out<float>(0, r), want.scaled, {.rel = 6.1e-8}));
          // beta and the shift may cancel: then their own roundings to double are what is left.
          CHECK_SAME(compare(bench.out<float>(1, r), want.bias, {.abs = 1e-12, .rel = 6.1e-8}));
          CHECK(bench.out<float>(0, r)[0] == 0.0f);  // gamma is 0 there
          CHECK(bench.out<float>(1, r)[0] == c.beta[0]);
        }
      }
    }
  }
}

TEST_CASE("fold_norm refuses what does not fit", "[fold_norm]") {
  CHECK_THROWS_AS(fold_graph({4, 3, 3, 2}, 5, false), ConfigError);
  CHECK_THROWS_AS(fold_graph({5}, 5, false, 0.0f), ConfigError);
  Graph g;
  const ValueId w = g.add_input("w", {{5}, DType::kF32}), c = g.add_input("c", {{5}, DType::kF32}),
                bias = g.add_input("b", {{1}, DType::kF32}), codes = g.add_input("q", {{5}, DType::kS8});
  CHECK_THROWS_AS(g.add_node("bias", fold_norm_op(), FoldNormAttrs{}, {w, c, c, c, c, bias}), ConfigError);
  CHECK_THROWS_AS(g.add_node("codes", fold_norm_op(), FoldNormAttrs{}, {codes, c, c, c, c, kNoValue}), ConfigError);
  CHECK_THROWS_AS(g.add_node("short", fold_norm_op(), FoldNormAttrs{}, {w, c, c, c, c}), ConfigError);
}
