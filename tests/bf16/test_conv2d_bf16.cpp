// Gradients of convolutions in bfloat16 on the CPU.
#include <cmath>

#include "engine/graph/backward.h"
#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "tests/kernels/bf16_gradient_cases.h"
#include "tests/support/graph_bench.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

GradientRunner cpu(TaskOrder order) {
  const auto run = [order](NodeBench& bench, const ConvShape&) { bench.run(order); };
  return {.data = run, .weight = run};
}

}  // namespace

TEST_CASE("bf16: gradients on floats", "[bf16]") {
  unsigned seed = 1;
  for (const ConvShape& a : bf16_shapes()) {
    INFO(text_of(a));
    check_floats(a, seed, cpu(TaskOrder::kShuffled));
    seed += 10;
  }
}

TEST_CASE("bf16: gradients on codes", "[bf16]") {
  unsigned seed = 500;
  for (const ConvShape& a : bf16_shapes()) {
    INFO(text_of(a));
    for (const bool per_channel : {false, true}) {
      check_codes(a, {DType::kU8, {0, 255}, per_channel}, seed, cpu(TaskOrder::kReverse));
      check_codes(a, {DType::kS8, {-128, 127}, per_channel}, seed + 3, cpu(TaskOrder::kShuffled));
      check_codes(a, {DType::kU8, {0, 3}, per_channel}, seed + 6, cpu(TaskOrder::kForward));
      seed += 10;
    }
  }
}

TEST_CASE("bf16: NaN and infinity of dy are kept", "[bf16]") {
  const ConvShape a{2, 6, 6, 16, 16, 3, 3, 1, 1};
  const ConvNodes nodes = float_nodes(a, kBf16);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    NodeBench data(nodes.graph, 1), weight(nodes.graph, 2);
    auto dy = normal_values(a.y_size(), 1);
    dy[5] = bad;
    fill(data.in<float>(0), dy);
    fill(data.in<float>(1), normal_values(a.w_size(), 2));
    fill(weight.in<float>(0), normal_values(a.x_size(), 3));
    fill(weight.in<float>(1), dy);
    data.run();
    weight.run();
    const auto is_bad = [](float v) { return !std::isfinite(v); };
    CHECK(std::any_of(data.out<float>(0).begin(), data.out<float>(0).end(), is_bad));
    CHECK(std::any_of(weight.out<float>(0).begin(), weight.out<float>(0).end(), is_bad));
    CHECK(is_bad(weight.out<float>(1)[5]));
  }
}

namespace {

// Two convolutions, the second with more filters than pixels if `few`; one of them strided.
Graph two_convolutions(bool few, ConvGradients gradients) {
  Graph g;
  const Index n = 9, side = few ? 6 : 16, filters = few ? 48 : 20;
  const ValueId x = g.add_input("x", {{n, side, side, 16}, DType::kF32});
  const ValueId w1 = add_trained(g, "w1", {24, 3, 3, 16}), b1 = add_trained(g, "b1", {24});
  const ValueId w2 = add_trained(g, "w2", {filters, 3, 3, 24});
  const ValueId y = conv2d(g, "first", {x, w1, b1}, 1, 1);
  const ValueId z = conv2d(g, "second", {y, w2}, 2, 1);
  const ValueId target = g.add_input("target", {g.spec(z).shape, DType::kU8});
  const ValueId loss = image_loss(g, "loss", z, target, LossKind::kMse);
  set_conv_gradients(g, gradients);
  differentiate(g, loss, add_op());
  return g;
}

std::vector<float> training_gradients(bool few, ConvGradients gradients, int threads, int replicas) {
  ProgramBench bench(two_convolutions(few, gradients), {.replicas = replicas, .threads = threads});
  for (int r = 0; r < replicas; ++r) {
    const unsigned seed = r == replicas - 1 ? 1 : 100;  // the last one is looked at
    for (const char* name : {"x", "w1", "b1", "w2"}) {
      const auto values = std::string_view(name) == "x" ? bench.values<float>(name, r) : bench.parameter(name, r);
      fill(values, normal_values(static_cast<Index>(values.size()), seed, 0.2f));
    }
    const auto target = bench.values<std::uint8_t>("target", r);
    fill(target, byte_values(static_cast<Index>(target.size()), seed));
  }
  bench.run();
  return bench.gradients(replicas - 1);
}

}  // namespace

TEST_CASE("bf16: the same bits for any number of threads, alone or in a population", "[bf16]") {
  for (const bool few : {false, true}) {
    const auto solo = training_gradients(few, kBf16, 1, 1);
    for (const int threads : {1, 2, 4}) {
      for (const int replicas : {1, 3}) {
        CHECK_SAME(compare_bits(training_gradients(few, kBf16, threads, replicas), solo));
      }
    }
    const auto exact = training_gradients(few, ConvGradients::kFloat32, 2, 1);
    std::vector<double> want(exact.begin(), exact.end());
    const double off = relative_to_norm(solo, want);
    CHECK(off < 2.0 * kRms);
    CHECK(off > 0.0);
  }
}

TEST_CASE("bf16: where it does not pay, gradients are those in float32", "[bf16]") {
  const auto gradients = [](const ConvShape& a, ConvGradients kind) {
    const ConvNodes nodes = float_nodes(a, kind);
    NodeBench data(nodes.graph, 1), weight(nodes.graph, 2);
    const auto dy = normal_values(a.y_size(), 1);
    fill(data.in<float>(0), dy);
    fill(data.in<float>(1), normal_values(a.w_size(), 2));
    fill(weight.in<float>(0), normal_values(a.x_size(), 3));
    fill(weight.in<float>(1), dy);
    data.run();
    weight.run();
    return Gradients{copy_of(data.out<float>(0)), copy_of(weight.out<float>(0)), {}};
  };
  struct Row {
    ConvShape a;
    bool dx, dw;  // in bfloat16
  };
  const ConvShape wide{4, 12, 12, 16, 8, 3, 3, 1, 1}, pixels{4, 12, 12, 3, 8, 3, 3, 1, 1},
      narrow{24, 4, 5, 16, 8, 3, 3, 1, 1}, few{1, 4, 4, 16, 32, 3, 3, 1, 1};
  for (const auto& [a, dx, dw] :
       {Row{wide, true, true}, {pixels, true, false}, {narrow, false, false}, {few, false, true}}) {
    INFO(text_of(a));
    const Gradients f32 = gradients(a, ConvGradients::kFloat32), bf16 = gradients(a, ConvGradients::kBfloat16Always),
                    chosen = gradients(a, ConvGradients::kBfloat16);
    CHECK(f32.dx != bf16.dx);
    CHECK(f32.dw != bf16.dw);
    CHECK_SAME(compare_bits(chosen.dx, dx ? bf16.dx : f32.dx));
    CHECK_SAME(compare_bits(chosen.dw, dw ? bf16.dw : f32.dw));
  }
}
