// add, relu, tanh, pixels_to_float, pixels_from_float: values, NaN, odd sizes, orders of tasks, replicas, gradient
// rules.
#include <cmath>
#include <limits>

#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/pixels_from_float/pixels_from_float.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

const std::vector<Shape> kShapes{
    {1}, {3}, {1, 1, 1, 1}, {1, 5, 7, 3}, {11, 3, 2, 5}, {16, 17, 17, 3}, {1, 111, 113, 1}, Shape{}};

Graph graph_of(const OpDef& op, const Shape& shape, std::size_t inputs, DType type = DType::kF32) {
  Graph graph;
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs; ++i) ids.push_back(graph.add_input("in" + std::to_string(i), {shape, type}));
  graph.add_node("node", op, {}, ids);
  return graph;
}

// Runs an op of f32 inputs for two replicas in every order of tasks and compares with `want(x0, x1)`.
template <class F>
void check_op(const OpDef& op, std::size_t inputs, Tolerance tolerance, F want) {
  for (const Shape& shape : kShapes) {
    const Graph graph = graph_of(op, shape, inputs);
    NodeBench bench(graph, 0, 2);
    for (int replica = 0; replica < 2; ++replica) {
      for (int i = 0; i < static_cast<int>(inputs); ++i) {
        fill(bench.in<float>(i, replica),
             normal_values(shape.elements(), static_cast<unsigned>(10 * replica + i), 2.0f));
      }
    }
    for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
      bench.run(order);
      for (int replica = 0; replica < 2; ++replica) {
        std::vector<double> expected;
        for (std::size_t i = 0; i < static_cast<std::size_t>(shape.elements()); ++i) {
          const double second = inputs > 1 ? bench.in<float>(1, replica)[i] : 0.0;
          expected.push_back(want(static_cast<double>(bench.in<float>(0, replica)[i]), second));
        }
        CHECK_SAME(compare(bench.out<float>(0, replica), expected, tolerance));
      }
    }
  }
}

float run_one(const OpDef& op, std::vector<float> inputs) {
  const Graph graph = graph_of(op, {1}, inputs.size());
  NodeBench bench(graph, 0);
  for (std::size_t i = 0; i < inputs.size(); ++i) bench.in<float>(static_cast<int>(i))[0] = inputs[i];
  bench.run();
  return bench.out<float>(0)[0];
}

}  // namespace

TEST_CASE("elementwise ops equal their formulas", "[kernels]") {
  check_op(add_op(), 2, {.abs = 1e-7, .rel = 1e-7}, [](double a, double b) { return a + b; });
  check_op(relu_op(), 1, {}, [](double x, double) { return std::fmax(x, 0.0); });
  check_op(relu_backward_op(), 2, {}, [](double x, double dy) { return x > 0.0 ? dy : 0.0; });
  check_op(tanh_op(), 1, {.rel = 3e-7}, [](double x, double) { return std::tanh(x); });
  check_op(tanh_backward_op(), 2, {.abs = 1e-6, .rel = 1e-6}, [](double y, double dy) { return dy * (1.0 - y * y); });
}

TEST_CASE("elementwise ops keep NaN and infinity", "[kernels]") {
  CHECK(std::isnan(run_one(relu_op(), {kNan})));
  CHECK(std::isnan(run_one(tanh_op(), {kNan})));
  CHECK(std::isnan(run_one(add_op(), {kNan, 1.0f})));
  CHECK(std::isnan(run_one(add_op(), {kInf, -kInf})));
  CHECK(std::isnan(run_one(relu_backward_op(), {1.0f, kNan})));
  CHECK(std::isnan(run_one(tanh_backward_op(), {kNan, 1.0f})));
  CHECK(run_one(relu_op(), {kInf}) == kInf);
  CHECK(run_one(relu_op(), {-kInf}) == 0.0f);
  CHECK(run_one(tanh_op(), {kInf}) == 1.0f);
  CHECK(run_one(tanh_op(), {-kInf}) == -1.0f);
  CHECK(run_one(relu_backward_op(), {0.0f, 3.0f}) == 0.0f);
}

TEST_CASE("pixels become reals and return", "[kernels]") {
  Graph graph;
  const ValueId codes = graph.add_input("codes", {Shape{1, 16, 16, 1}, DType::kU8});
  pixels_from_float(graph, "back", pixels_to_float(graph, "real", codes));
  GraphBench bench(graph);
  std::vector<std::uint8_t> all(256);
  std::vector<double> want;
  for (std::size_t i = 0; i < 256; ++i) {
    all[i] = static_cast<std::uint8_t>(i);
    want.push_back(static_cast<double>(i) / 255.0);
  }
  fill(bench.values<std::uint8_t>(codes), all);
  bench.run();
  CHECK_SAME(compare(bench.values<float>(graph.find_value("real")), want, {.rel = 1.2e-7}));
  CHECK_SAME(compare_exact(bench.values<std::uint8_t>(graph.find_value("back")), all));
  CHECK(bench.values<float>(graph.find_value("real"))[255] == 255.0f * (1.0f / 255.0f));
}

TEST_CASE("pixels_from_float clamps, rounds half to even and reports NaN", "[kernels]") {
  Graph graph;
  graph.add_node("pixels", pixels_from_float_op(), {}, {graph.add_input("x", {Shape{2, 4}, DType::kF32})});
  NodeBench bench(graph, 0, 2);
  bench.params(1).step = 7;
  const std::vector<float> x{-0.5f, 0.0f, 0.5f, 0.99f, 1.0f, 3.0f, kInf, -kInf};  // 0.5 is code 127.5: even is 128
  fill(bench.in<float>(0, 0), x);
  fill(bench.in<float>(0, 1), x);
  bench.in<float>(0, 1)[2] = kNan;
  bench.run(TaskOrder::kForward, nullptr, 4);
  CHECK_SAME(compare_exact(bench.out<std::uint8_t>(0, 0), std::vector<int>{0, 0, 128, 252, 255, 255, 255, 0}));
  CHECK_SAME(compare_exact(bench.out<std::uint8_t>(0, 1), std::vector<int>{0, 0, 0, 252, 255, 255, 255, 0}));
  CHECK(bench.status(0).first_fault == 0);
  CHECK(bench.status(1).first_fault == (std::uint64_t{7} << 32 | 5));
}

TEST_CASE("gradients of elementwise ops agree with differences", "[kernels]") {
  for (const std::string kind : {"tanh", "relu", "add"}) {
    INFO(kind);
    const Shape shape{2, 3, 2, 3};
    Graph graph;
    const ValueId x = add_trained(graph, "x", shape);
    const ValueId target = graph.add_input("target", {shape, DType::kU8});
    ValueId y = kNoValue;
    if (kind == "tanh") y = tanh(graph, "y", x);
    if (kind == "relu") y = relu(graph, "y", x);
    if (kind == "add") y = add(graph, "y", tanh(graph, "a", x), x);  // two contributions to the gradient of x
    const ValueId loss = image_loss(graph, "loss", y, target, LossKind::kMse);
    std::vector<float> at = normal_values(shape.elements(), 3);
    for (float& v : at) v += v < 0.0f ? -0.05f : 0.05f;  // away from the kink
    CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 0.02f, {.abs = 1e-4, .rel = 2e-3}, [&](GraphBench& bench) {
      fill(bench.values<std::uint8_t>(target), byte_values(shape.elements(), 5));
    }));
  }
}

TEST_CASE("elementwise ops refuse what does not fit", "[kernels]") {
  CHECK_THROWS_AS(graph_of(relu_op(), {0, 3}, 1), ConfigError);
  CHECK_THROWS_AS(graph_of(relu_op(), {2}, 2), ConfigError);
  CHECK_THROWS_AS(graph_of(relu_op(), {2}, 1, DType::kU8), ConfigError);
  CHECK_THROWS_AS(graph_of(pixels_to_float_op(), {2}, 1), ConfigError);
  Graph graph;
  const ValueId a = graph.add_input("a", {Shape{2, 3}, DType::kF32}),
                b = graph.add_input("b", {Shape{3, 2}, DType::kF32});
  CHECK_THROWS_AS(add(graph, "sum", a, b), ConfigError);
}
