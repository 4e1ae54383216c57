#include "kernels/batch_norm/batch_norm.h"

#include <cmath>
#include <limits>

#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "tests/reference/batch_norm_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct NormGraph {
  Graph graph;  // node 0 forward, node 1 backward
};

NormGraph norm_graph(const Shape& shape, const BatchNormAttrs& attrs) {
  NormGraph g;
  const ValueId x = g.graph.add_input("x", {shape, DType::kF32});
  std::vector<ValueId> inputs{x};
  for (const char* name : {"gamma", "beta", "running_mean", "running_var"}) {
    inputs.push_back(g.graph.add_input(name, {{shape[3]}, DType::kF32}));
  }
  const auto out = g.graph.add_node("norm", batch_norm_op(), attrs, inputs);
  const ValueId dy = g.graph.add_input("dy", {shape, DType::kF32});
  g.graph.add_node("norm/backward", batch_norm_backward_op(), attrs,
                   {x, inputs[1], inputs[2], out[1], out[2], dy, kNoValue, kNoValue, kNoValue, kNoValue});
  return g;
}

NormCase norm_case(const Shape& shape, unsigned seed, float offset, bool frozen) {
  NormCase c;
  const Index channels = shape[3];
  c.x = normal_values(shape.elements(), seed, 2.0f, offset);
  c.gamma = normal_values(channels, seed + 1, 0.5f, 1.0f);
  c.beta = normal_values(channels, seed + 2);
  c.running_mean = normal_values(channels, seed + 3, 1.0f, offset);
  c.running_var = normal_values(channels, seed + 4, 0.2f, 2.0f);
  for (float& v : c.running_var) v = std::fabs(v) + 0.1f;
  c.frozen = frozen;
  return c;
}

void fill_forward(NodeBench& bench, int r, const NormCase& c) {
  const std::vector<float>* const inputs[] = {&c.x, &c.gamma, &c.beta, &c.running_mean, &c.running_var};
  for (int i = 0; i < 5; ++i) fill(bench.in<float>(i, r), *inputs[i]);
}

}  // namespace

TEST_CASE("batch normalisation and its gradient equal the double oracle", "[kernels]") {
  for (const bool frozen : {false, true}) {
    for (const Shape& shape :
         {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 3}, Shape{4, 8, 8, 16}, Shape{3, 9, 7, 67}, Shape{8, 17, 16, 4}}) {
      for (const float offset : {0.0f, 50.0f}) {
        INFO(shape.text() << (frozen ? ", frozen" : "") << ", mean near " << offset);
        const BatchNormAttrs attrs{.frozen = frozen};
        const NormGraph g = norm_graph(shape, attrs);
        NodeBench norm(g.graph, 0, 2), back(g.graph, 1, 2);
        for (int r = 0; r < 2; ++r) {
          const NormCase c = norm_case(shape, static_cast<unsigned>(10 * r) + 3, offset, frozen);
          fill_forward(norm, r, c);
        }
        norm.run(TaskOrder::kShuffled);
        for (int r = 0; r < 2; ++r) {
          const NormCase c = norm_case(shape, static_cast<unsigned>(10 * r) + 3, offset, frozen);
          const std::vector<float> dy = normal_values(shape.elements(), static_cast<unsigned>(r) + 70);
          const NormOracle want = batch_norm_oracle(c, dy);
          // One pixel per channel has a variance of eps only: what rounding leaves of x - mean is blown up.
          const double blur = (1.0 + static_cast<double>(offset)) * 2e-6;
          CHECK_SAME(compare(norm.out<float>(0, r), want.y, {.abs = blur, .rel = 2e-6}));
          CHECK_SAME(compare(norm.out<float>(1, r), want.mean, {.abs = 1e-6, .rel = 2e-7}));
          std::vector<double> deviation;
          for (const double v : want.variance) deviation.push_back(1.0 / std::sqrt(v + c.eps));
          CHECK_SAME(compare(norm.out<float>(2, r), deviation, {.rel = 2e-6}));
          CHECK_SAME(compare(norm.in<float>(3, r), want.running_mean, {.abs = 1e-6, .rel = 3e-7}));
          CHECK_SAME(compare(norm.in<float>(4, r), want.running_var, {.abs = 1e-6, .rel = 1e-6}));
          fill(back.in<float>(0, r), c.x);
          fill(back.in<float>(1, r), c.gamma);
          fill(back.in<float>(2, r), c.beta);
          fill(back.in<float>(5, r), dy);
          fill(back.in<float>(3, r), copy_of(norm.out<float>(1, r)));
          fill(back.in<float>(4, r), copy_of(norm.out<float>(2, r)));
        }
        back.run(TaskOrder::kReverse);
        for (int r = 0; r < 2; ++r) {
          const NormCase c = norm_case(shape, static_cast<unsigned>(10 * r) + 3, offset, frozen);
          const NormOracle want = batch_norm_oracle(c, normal_values(shape.elements(), static_cast<unsigned>(r) + 70));
          const double blur = (1.0 + static_cast<double>(offset)) * 3e-6;
          if (shape.elements() > 1) CHECK_SAME(compare(back.out<float>(0, r), want.dx, {.abs = blur, .rel = 1e-5}));
          const double sums = blur * std::sqrt(static_cast<double>(shape.elements()));
          CHECK_SAME(compare(back.out<float>(1, r), want.dgamma, {.abs = sums, .rel = 1e-5}));
          CHECK_SAME(compare(back.out<float>(2, r), want.dbeta, {.abs = 1e-6, .rel = 1e-6}));
        }
      }
    }
  }
}

TEST_CASE("a constant channel has no variance and no NaN", "[kernels]") {
  const NormGraph g = norm_graph({2, 4, 4, 2}, {});
  NodeBench norm(g.graph, 0);
  NormCase c = norm_case({2, 4, 4, 2}, 1, 0.0f, false);
  for (std::size_t i = 0; i < c.x.size(); i += 2) c.x[i] = 0.1f;
  fill_forward(norm, 0, c);
  norm.run();
  for (std::size_t i = 0; i < c.x.size(); i += 2) CHECK(norm.out<float>(0)[i] == Approx(c.beta[0]).margin(1e-5));
  CHECK(norm.out<float>(2)[0] == Approx(1.0 / std::sqrt(1e-5)).epsilon(1e-3));
}

TEST_CASE("the order of tasks and a NaN elsewhere change no bit of batch normalisation", "[kernels]") {
  const Shape shape{5, 7, 9, 6};
  const NormGraph g = norm_graph(shape, {});
  std::vector<std::vector<float>> results;
  for (const TaskOrder order : {TaskOrder::kForward, TaskOrder::kReverse, TaskOrder::kShuffled}) {
    NodeBench norm(g.graph, 0, 2);
    for (int r = 0; r < 2; ++r) fill_forward(norm, r, norm_case(shape, 5, 1.0f, false));
    norm.in<float>(0, 1)[4] = std::numeric_limits<float>::quiet_NaN();
    norm.run(order);
    results.push_back(copy_of(norm.out<float>(0, 0)));
    CHECK_SAME(compare_bits(results.back(), results.front()));
    CHECK(std::isnan(norm.out<float>(0, 1)[4]));
    CHECK(std::isfinite(norm.out<float>(0, 1)[5]));
  }
}

TEST_CASE("the gradient rule of batch normalisation agrees with differences", "[kernels]") {
  const Shape shape{2, 3, 2, 3};
  Graph graph;
  const ValueId x = add_trained(graph, "x", shape), gamma = add_trained(graph, "gamma", {3}),
                beta = add_trained(graph, "beta", {3});
  const ValueId mean = graph.add_input("mean", {{3}, DType::kF32}), var = graph.add_input("var", {{3}, DType::kF32});
  const ValueId y = batch_norm(graph, "norm", x, {gamma, beta, mean, var});
  const ValueId target = graph.add_input("target", {shape, DType::kU8});
  const ValueId loss = image_loss(graph, "loss", y, target, LossKind::kMse);
  const std::vector<float> at = normal_values(shape.elements(), 3);
  CHECK_SAME(check_gradient(graph, loss, x, add_op(), at, 5e-3f, {.abs = 1e-4, .rel = 2e-2}, [&](GraphBench& bench) {
    fill(bench.values<std::uint8_t>(target), byte_values(shape.elements(), 5));
    fill(bench.values<float>(gamma), std::vector{0.7f, 1.0f, 1.5f});
    fill(bench.values<float>(beta), std::vector{0.1f, 0.0f, -0.4f});
    fill(bench.values<float>(mean), std::vector{0.0f, 0.0f, 0.0f});
    fill(bench.values<float>(var), std::vector{1.0f, 1.0f, 1.0f});
  }));
}

TEST_CASE("batch normalisations that cannot be are refused", "[kernels]") {
  Graph graph;
  const ValueId x = graph.add_input("x", {{1, 2, 2, 3}, DType::kF32});
  const ValueId three = graph.add_input("three", {{3}, DType::kF32}), two = graph.add_input("two", {{2}, DType::kF32});
  CHECK_THROWS_AS(batch_norm(graph, "a", x, {three, two, three, three}), ConfigError);
  CHECK_THROWS_AS(batch_norm(graph, "b", three, {three, three, three, three}), ConfigError);
  CHECK_THROWS_AS(batch_norm(graph, "c", x, {three, three, three, three}, {.eps = 0.0f}), ConfigError);
  CHECK_THROWS_AS(batch_norm(graph, "d", x, {three, three, three, three}, {.momentum = 1.5f}), ConfigError);
  CHECK_THROWS(graph.add_node("e", batch_norm_backward_op(), BatchNormAttrs{},
                              {x, three, three, three, three, kNoValue, kNoValue, kNoValue, kNoValue, kNoValue}));
}
