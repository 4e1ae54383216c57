#include "kernels/image_loss/image_loss.h"

#include <cmath>
#include <limits>

#include "kernels/add/add.h"
#include "tests/reference/image_loss_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

const std::vector<Shape> kShapes{{1, 1, 1, 1}, {1, 3, 5, 3}, {3, 17, 7, 3}, {16, 21, 13, 3}, {2, 64, 32, 1}};

Graph loss_graph(const Shape& shape, LossKind kind) {
  Graph graph;
  const ValueId prediction = graph.add_input("prediction", {shape, DType::kF32});
  const ValueId target = graph.add_input("target", {shape, DType::kU8});
  image_loss(graph, "loss", prediction, target, kind);
  graph.add_node("back", image_loss_backward_op(), ImageLossAttrs{kind}, {prediction, target});
  return graph;
}

void fill_images(NodeBench& bench, const Shape& shape, int replica) {
  const auto seed = static_cast<unsigned>(replica) + 1;
  fill(bench.in<float>(0, replica), normal_values(shape.elements(), seed, 0.3f, 0.5f));
  fill(bench.in<std::uint8_t>(1, replica), byte_values(shape.elements(), seed + 10));
}

}  // namespace

TEST_CASE("image losses and gradients equal the double oracle", "[kernels]") {
  for (const std::string& name : loss_names()) {
    for (const Shape& shape : kShapes) {
      INFO(name << ' ' << shape.text());
      const Graph graph = loss_graph(shape, parse_loss(name));
      NodeBench loss(graph, 0, 2), back(graph, 1, 2);
      double first = 0.0;
      for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
        for (int replica = 0; replica < 2; ++replica) {
          fill_images(loss, shape, replica);
          fill_images(back, shape, replica);
        }
        loss.run(order);
        back.run(order);
        for (int replica = 0; replica < 2; ++replica) {
          const LossOracle want =
              loss_oracle(name, copy_of(loss.in<float>(0, replica)), copy_of(loss.in<std::uint8_t>(1, replica)));
          CHECK_SAME(compare(loss.out<double>(0, replica), std::vector{want.loss}, {.rel = 1e-6}));
          // d is within 1.2e-7, the rounding of codes and predictions near 1; charbonnier's derivative has a slope of
          // 1/eps = 1000 at 0
          const double abs = (name == "charbonnier" ? 1.2e-4 : 3e-7) / static_cast<double>(shape.elements());
          CHECK_SAME(compare(back.out<float>(0, replica), want.gradient, {.abs = abs, .rel = 1e-6}));
        }
        if (order == TaskOrder::kForward) first = loss.out<double>(0)[0];
        CHECK(loss.out<double>(0)[0] == first);
      }
      CHECK(loss.status(1).loss_count == 3);
      CHECK(loss.status(1).loss_sum == Approx(3.0 * loss.out<double>(0, 1)[0]));
      CHECK(loss.status(1).first_fault == 0);
    }
  }
}

TEST_CASE("an exact prediction has no loss and no gradient", "[kernels]") {
  const Shape shape{1, 4, 4, 3};
  for (const LossKind kind : {LossKind::kMse, LossKind::kL1}) {
    const Graph graph = loss_graph(shape, kind);
    NodeBench loss(graph, 0), back(graph, 1);
    for (NodeBench* bench : {&loss, &back}) {
      fill_images(*bench, shape, 0);
      for (std::size_t i = 0; i < 48; ++i)
        bench->in<float>(0)[i] = static_cast<float>(bench->in<std::uint8_t>(1)[i]) * (1.0f / 255.0f);
      bench->run();
    }
    CHECK(loss.out<double>(0)[0] == 0.0);
    CHECK_SAME(compare_exact(back.out<float>(0), std::vector<float>(48, 0.0f)));
  }
}

TEST_CASE("a loss that is not finite is the replica's earliest fault", "[kernels]") {
  for (const std::string& name : loss_names()) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const Shape shape{3, 40, 40, 3};
      const Graph graph = loss_graph(shape, parse_loss(name));
      NodeBench bench(graph, 0, 2), back(graph, 1, 2);
      for (int replica = 0; replica < 2; ++replica) {
        fill_images(bench, shape, replica);
        fill_images(back, shape, replica);
      }
      bench.in<float>(0, 1)[14399] = bad;
      back.in<float>(0, 1)[14399] = std::numeric_limits<float>::quiet_NaN();
      bench.params(1).step = 12;
      bench.run(TaskOrder::kForward, nullptr, 2);
      bench.params(1).step = 13;
      bench.run(TaskOrder::kForward, nullptr, 1);
      back.run();
      CHECK(bench.status(0).first_fault == 0);
      CHECK(bench.status(1).first_fault == (std::uint64_t{12} << 32 | 3));
      CHECK(std::isfinite(bench.out<double>(0, 0)[0]));
      CHECK_FALSE(std::isfinite(bench.out<double>(0, 1)[0]));
      CHECK(std::isnan(back.out<float>(0, 1)[14399]));
      CHECK(std::isfinite(back.out<float>(0, 1)[14398]));
    }
  }
}

TEST_CASE("the gradient rule of the loss agrees with differences", "[kernels]") {
  for (const LossKind kind : {LossKind::kMse, LossKind::kCharbonnier}) {
    const Shape shape{2, 3, 2, 3};
    Graph graph;
    const ValueId x = add_trained(graph, "x", shape);
    const ValueId target = graph.add_input("target", {shape, DType::kU8});
    const ValueId loss = image_loss(graph, "loss", x, target, kind);
    const std::vector<float> at = normal_values(shape.elements(), 3, 0.3f, 2.0f);  // far from the bend of charbonnier
    CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 0.01f, {.abs = 2e-5, .rel = 1e-3}, [&](GraphBench& bench) {
      fill(bench.values<std::uint8_t>(target), byte_values(shape.elements(), 5));
    }));
  }
}

TEST_CASE("losses are found by name", "[kernels]") {
  for (const std::string& name : loss_names()) CHECK(name_of(parse_loss(name)) == name);
  CHECK_THROWS_WITH(parse_loss("charbonier"), Catch::Matchers::Contains("'charbonnier'"));
  Graph graph;
  const ValueId a = graph.add_input("a", {Shape{1, 2, 2, 3}, DType::kF32}),
                b = graph.add_input("b", {Shape{1, 2, 2, 1}, DType::kU8});
  const ValueId empty = graph.add_input("e", {Shape{0, 2, 2, 3}, DType::kF32}),
                none = graph.add_input("n", {Shape{0, 2, 2, 3}, DType::kU8});
  CHECK_THROWS_AS(image_loss(graph, "loss", a, b, LossKind::kMse), ConfigError);
  CHECK_THROWS_AS(image_loss(graph, "loss", b, a, LossKind::kMse), ConfigError);
  CHECK_THROWS_AS(image_loss(graph, "loss", empty, none, LossKind::kMse), ConfigError);
}
