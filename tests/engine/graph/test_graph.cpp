// Building graphs, and differentiation: what they promise, and the messages where they cannot.
#include "engine/graph/graph.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/graph/backward.h"
#include "engine/graph/op.h"
#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/pixels_from_float/pixels_from_float.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/relu/relu.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;

namespace {

const Shape kShape{2, 3, 2, 3};

struct LossGraph {
  Graph graph;
  ValueId target = graph.add_input("target", {kShape, DType::kU8});

  ValueId trained(const std::string& name) { return add_trained(graph, name, kShape); }
  ValueId loss(ValueId y) { return image_loss(graph, "loss", y, target, LossKind::kMse); }
};

}  // namespace

TEST_CASE("errors of a graph name the node, its op and its input shapes", "[graph]") {
  Graph graph;
  const ValueId a = graph.add_input("a", {{2, 3}, DType::kF32}), b = graph.add_input("b", {{3, 2}, DType::kF32});
  CHECK_THROWS_WITH(add(graph, "sum7", a, b),
                    Contains("sum7") && Contains("(add)") && Contains("f32 (2, 3)") && Contains("f32 (3, 2)"));
  CHECK_THROWS_AS(add(graph, "sum7", a, b), ConfigError);
  CHECK_THROWS_WITH(graph.add_input("a", {{1}, DType::kF32}), Contains("two values named 'a'"));
  CHECK(graph.nodes().empty());  // a refused node leaves nothing behind
  CHECK(graph.values().size() == 2);
}

TEST_CASE("values have names, producers and readers", "[graph]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{2, 3}, DType::kF32}), y = relu(graph, "y", x), z = add(graph, "z", y, y);
  CHECK(graph.find_value("y") == y);
  CHECK(graph.find_value("nothing") == kNoValue);
  CHECK(graph.value(y).producer == 0);
  CHECK(graph.value(x).producer == -1);
  CHECK(graph.readers(y) == std::vector<NodeId>{1});
  CHECK(graph.readers(z).empty());
  graph.mark_output(z);
  CHECK(graph.value(z).storage == Storage::kOutput);
  CHECK_THROWS_AS(graph.mark_output(x), Error);
}

TEST_CASE("removing dead nodes renumbers the others", "[graph]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{2}, DType::kF32}), a = relu(graph, "a", x), b = relu(graph, "b", x),
                c = add(graph, "c", b, b);
  graph.value(a).producer = -1;
  graph.node(0) = Node{};
  graph.remove_dead_nodes();
  REQUIRE(graph.nodes().size() == 2);
  CHECK(graph.value(b).producer == 0);
  CHECK(graph.value(c).producer == 1);
  CHECK_THROWS_AS(graph.mark_output(a), Error);  // nobody would write it
}

TEST_CASE("a parameter that would never learn is refused", "[graph]") {
  LossGraph l;
  const ValueId w = l.trained("w");
  l.trained("orphan");
  const ValueId loss = l.loss(relu(l.graph, "y", w));
  CHECK_THROWS_WITH(differentiate(l.graph, loss, add_op()), Contains("'orphan'") && Contains("no gradient"));
}

TEST_CASE("an op without a gradient between loss and parameter is refused", "[graph]") {
  LossGraph l;
  const ValueId w = l.trained("w");
  const ValueId loss = l.loss(pixels_to_float(l.graph, "real", pixels_from_float(l.graph, "codes", w)));
  CHECK_THROWS_WITH(differentiate(l.graph, loss, add_op()), Contains("(pixels_to_float)") && Contains("no gradient"));
}

TEST_CASE("two parameters cannot share one gradient tensor unnoticed", "[graph]") {
  LossGraph l;
  const ValueId a = l.trained("a"), b = l.trained("b");
  const ValueId loss = l.loss(add(l.graph, "sum", a, b));
  CHECK_THROWS_WITH(differentiate(l.graph, loss, add_op()),
                    Contains("'a'") && Contains("'b'") && Contains("same gradient"));
}

TEST_CASE("several uses of a parameter add up", "[graph]") {
  LossGraph l;
  const ValueId w = l.trained("w");
  const ValueId y = add(l.graph, "three", add(l.graph, "two", w, w), relu(l.graph, "relu", w));
  const auto at = [] {
    auto values = normal_values(kShape.elements(), 3);
    for (float& v : values) v += v < 0.0f ? -0.05f : 0.05f;  // away from the kink
    return values;
  }();
  CHECK_SAME(check_gradient(
      l.graph, l.loss(y), w, add_op(), at, 0.02f, {.abs = 1e-4, .rel = 2e-3},
      [&](GraphBench& bench) { fill(bench.values<std::uint8_t>(l.target), byte_values(kShape.elements(), 5)); }));
}

TEST_CASE("nothing is computed for what is not trained", "[graph]") {
  LossGraph l;
  const ValueId x = l.graph.add_input("x", {kShape, DType::kF32}), w = l.trained("w");
  const ValueId loss = l.loss(add(l.graph, "sum", relu(l.graph, "frozen", x), w));
  differentiate(l.graph, loss, add_op());
  for (const Node& node : l.graph.nodes()) CHECK(node.name.find("frozen/") == std::string::npos);
  CHECK(std::count_if(l.graph.values().begin(), l.graph.values().end(),
                      [](const GraphValue& v) { return v.storage == Storage::kGradient; }) == 1);
}

TEST_CASE("programs of one store match parameters by name and shape", "[graph]") {
  Graph first, second, wrong;
  add_trained(first, "unused", {4});
  first.mark_output(relu(first, "y", add_trained(first, "w", {3})));
  second.mark_output(relu(second, "y", add_trained(second, "w", {3})));
  wrong.mark_output(relu(wrong, "y", add_trained(wrong, "w", {5})));
  ProgramBench bench(first);
  Program shares(second, bench.store());
  fill(bench.parameter("w"), std::vector<float>{1.0f, -2.0f, 3.0f});
  shares.run();
  const Tensor y = shares.tensor("y");
  CHECK_SAME(compare_exact(std::span(y.at<float>(0), 3), std::vector<float>{1.0f, 0.0f, 3.0f}));
  CHECK_THROWS_WITH(Program(wrong, bench.store()), Contains("'w'") && Contains("(3)") && Contains("(5)"));
  Graph unknown;
  unknown.mark_output(relu(unknown, "y", add_trained(unknown, "v", {3})));
  CHECK_THROWS_WITH(Program(unknown, bench.store()), Contains("'v'"));
  CHECK_THROWS_WITH(shares.tensor("nothing"), Contains("nothing"));
}

TEST_CASE("an activation's memory cannot be had from outside", "[graph]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{3}, DType::kF32});
  graph.mark_output(relu(graph, "z", relu(graph, "y", x)));
  ProgramBench bench(graph);
  CHECK_THROWS_WITH(bench.program().tensor("y"), Contains("neither an input nor an output"));
}

TEST_CASE("a shared input is one for all replicas", "[graph]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{5}, DType::kF32}, Storage::kShared);
  graph.mark_output(add(graph, "y", x, add_trained(graph, "w", {5})));
  ProgramBench bench(graph, {.replicas = 3});
  fill(bench.values<float>("x"), std::vector<float>{1.0f, 2.0f, 3.0f, 4.0f, 5.0f});
  for (int r = 0; r < 3; ++r) fill(bench.parameter("w", r), std::vector<float>(5, static_cast<float>(10 * r)));
  bench.run();
  for (int r = 0; r < 3; ++r) CHECK(bench.values<float>("y", r)[4] == 5.0f + 10.0f * static_cast<float>(r));
}
