// Gradients of convolutions in bfloat16. Twice against double loops: on the operands as they are rounded, where only
// the float32 sums may differ; and on those that were not, where each product is off by at most the rounding of dy
// (codes) or of both factors (floats). One rounding is at most 2^-8 of the value and near 2^-9 in root mean square,
// which is what the error of a whole tensor relative to its norm comes to; sums of few terms scatter around it.
#include <cmath>

#include "engine/graph/backward.h"
#include "kernels/add/add.h"
#include "kernels/common/bfloat16.h"
#include "kernels/image_loss/image_loss.h"
#include "tests/kernels/conv2d_bench.h"
#include "tests/support/compare.h"
#include "tests/support/graph_bench.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr auto kBf16 = ConvGradients::kBfloat16Always;
constexpr double kFloatSum = 1e-6;  // of the terms' magnitudes, as for the gradients in float32
const double kUnit = std::ldexp(1.0, -8), kRms = 1.2 * std::ldexp(1.0, -9);

// Those of the float32 gradients; filters of 7x7; strided 1x1; more filters than pixels (a matrix product) with odd and
// with even numbers of pixels; small images with many channels.
std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all = conv_shapes();
  all.insert(all.end(), {{2, 15, 13, 3, 16, 7, 7, 2, 3},
                         {9, 8, 8, 16, 33, 1, 1, 2, 0},
                         {5, 4, 4, 24, 70, 3, 3, 1, 1},
                         {3, 5, 3, 19, 40, 3, 3, 1, 1},
                         {2, 8, 8, 16, 140, 3, 3, 2, 1},
                         {17, 9, 7, 32, 48, 3, 3, 1, 1},
                         {9, 8, 8, 64, 64, 3, 3, 1, 1},
                         {4, 17, 20, 31, 27, 3, 3, 1, 1}});
  return all;
}

std::string text(const ConvShape& a) {
  return x_shape(a).text() + " * " + w_shape(a).text() + " stride " + std::to_string(a.stride) + " pad " +
         std::to_string(a.pad);
}

// Off by no more than this share of the terms' magnitudes.
Comparison compare_sums(std::span<const float> got, const ConvSums& want, double tolerance) {
  std::vector<double> error;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error.push_back((static_cast<double>(got[i]) - want.values[i]) / (want.magnitudes[i] + 1e-30));
  }
  return compare(error, std::vector<double>(want.values.size(), 0.0), {.abs = tolerance});
}

double relative_to_norm(std::span<const float> got, const std::vector<double>& want) {
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double e = static_cast<double>(got[i]) - want[i];
    error += e * e;
    norm += want[i] * want[i];
  }
  return norm == 0.0 ? 0.0 : std::sqrt(error / norm);
}

std::vector<double> rounded(const std::vector<float>& values) {
  std::vector<double> result;
  for (const float v : values) result.push_back(static_cast<double>(to_float(to_bf16(v))));
  return result;
}

struct Gradients {
  std::vector<float> dx, dw, db;
};

// The operands of one case: what the kernel gets, as real values, and as the kernel rounds them.
struct Case {
  std::vector<float> dy;
  std::vector<double> x, w, real_dy;   // the real values
  std::vector<double> x16, w16, dy16;  // of the products of dw and dx; real units
  std::vector<double> dy16_of_data;
};

void check_gradients(const ConvShape& a, const Case& c, const Gradients& got, double unit, double rms) {
  CHECK_SAME(compare_sums(got.dx, conv_backward_data(a, c.dy16_of_data, c.w16), kFloatSum));
  CHECK_SAME(compare_sums(got.dw, conv_backward_weight(a, c.x16, c.dy16), kFloatSum));
  CHECK_SAME(compare_sums(got.db, conv_backward_bias(a, c.real_dy), kFloatSum));
  const ConvSums dx = conv_backward_data(a, c.real_dy, c.w), dw = conv_backward_weight(a, c.x, c.real_dy);
  CHECK_SAME(compare_sums(got.dx, dx, unit + kFloatSum));
  CHECK_SAME(compare_sums(got.dw, dw, unit + kFloatSum));
  if (a.y_size() < 500) return;  // few roundings: their root mean square scatters
  CHECK(relative_to_norm(got.dx, dx.values) < rms);
  CHECK(relative_to_norm(got.dw, dw.values) < rms);
}

template <class T>
void set(std::span<T> to, const std::vector<std::int16_t>& codes) {
  for (std::size_t i = 0; i < codes.size(); ++i) to[i] = static_cast<T>(codes[i]);
}

void check_floats(const ConvShape& a, unsigned seed, TaskOrder order) {
  const auto x = normal_values(a.x_size(), seed), w = normal_values(a.w_size(), seed + 1);
  Case c;
  c.dy = normal_values(a.y_size(), seed + 2);
  c.x = doubles(x), c.w = doubles(w), c.real_dy = doubles(c.dy);
  c.x16 = rounded(x), c.w16 = rounded(w), c.dy16 = rounded(c.dy);
  c.dy16_of_data = c.dy16;
  const ConvNodes nodes = float_nodes(a, kBf16);
  NodeBench data(nodes.graph, 1), weight(nodes.graph, 2);
  fill(data.in<float>(0), c.dy);
  fill(data.in<float>(1), w);
  fill(weight.in<float>(0), x);
  fill(weight.in<float>(1), c.dy);
  data.run(order);
  weight.run(order);
  check_gradients(a, c, {copy_of(data.out<float>(0)), copy_of(weight.out<float>(0)), copy_of(weight.out<float>(1))},
                  2.0 * kUnit + kUnit * kUnit, std::sqrt(2.0) * kRms);
}

void check_codes(const ConvShape& a, DType type, CodeRange x_range, bool per_channel, unsigned seed, TaskOrder order) {
  const auto x = code_values<std::int16_t>(a.x_size(), x_range.n, x_range.p, seed),
             w = code_values<std::int16_t>(a.w_size(), -127, 127, seed + 1);
  const float sx = 0.0123f;
  std::vector<float> sw;
  for (Index k = 0; k < (per_channel ? a.k : 1); ++k) sw.push_back(0.003f + 0.0007f * static_cast<float>(k % 40));
  Case c;
  c.dy = normal_values(a.y_size(), seed + 2);
  c.real_dy = doubles(c.dy);
  c.dy16 = rounded(c.dy);
  std::vector<float> scaled = c.dy;
  for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] *= sw[per_channel ? i % sw.size() : 0];
  c.dy16_of_data = rounded(scaled);
  c.x = doubles(x);
  for (double& v : c.x) v *= static_cast<double>(sx);
  c.x16 = c.x;
  c.w16 = doubles(w);  // the steps are in dy
  c.w = c.w16;
  const std::size_t fan_in = c.w.size() / static_cast<std::size_t>(a.k);
  for (std::size_t i = 0; i < c.w.size(); ++i) c.w[i] *= static_cast<double>(sw[per_channel ? i / fan_in : 0]);
  const CodeNodes codes = code_nodes(a, type, static_cast<Index>(sw.size()), kBf16);
  NodeBench data(codes.nodes.graph, 1), weight(codes.nodes.graph, 2);
  fill(data.in<float>(0), c.dy);
  set(data.in<std::int8_t>(1), w);
  fill(data.in<float>(2), sw);
  if (type == DType::kU8) {
    set(weight.in<std::uint8_t>(0), x);
  } else {
    set(weight.in<std::int8_t>(0), x);
  }
  fill(weight.in<float>(1), c.dy);
  weight.in<float>(3)[0] = sx;
  data.run(order);
  weight.run(order);
  check_gradients(a, c, {copy_of(data.out<float>(0)), copy_of(weight.out<float>(0)), copy_of(weight.out<float>(1))},
                  kUnit * (1.0 + 1e-3), kRms);  // dy s_w[k] is rounded to float32 before
}

}  // namespace

TEST_CASE("bf16: gradients on floats", "[bf16]") {
  unsigned seed = 1;
  for (const ConvShape& a : shapes()) {
    INFO(text(a));
    check_floats(a, seed, TaskOrder::kShuffled);
    seed += 10;
  }
}

TEST_CASE("bf16: gradients on codes", "[bf16]") {
  unsigned seed = 500;
  for (const ConvShape& a : shapes()) {
    INFO(text(a));
    for (const bool per_channel : {false, true}) {
      check_codes(a, DType::kU8, {0, 255}, per_channel, seed, TaskOrder::kReverse);
      check_codes(a, DType::kS8, {-128, 127}, per_channel, seed + 3, TaskOrder::kShuffled);
      check_codes(a, DType::kU8, {0, 3}, per_channel, seed + 6, TaskOrder::kForward);
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

std::vector<float> gradients_of(bool few, ConvGradients gradients, int threads, int replicas) {
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
    const auto solo = gradients_of(few, kBf16, 1, 1);
    for (const int threads : {1, 2, 4}) {
      for (const int replicas : {1, 3}) {
        CHECK_SAME(compare_bits(gradients_of(few, kBf16, threads, replicas), solo));
      }
    }
    const auto exact = gradients_of(few, ConvGradients::kFloat32, 2, 1);
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
    INFO(text(a));
    const Gradients f32 = gradients(a, ConvGradients::kFloat32), bf16 = gradients(a, ConvGradients::kBfloat16Always),
                    chosen = gradients(a, ConvGradients::kBfloat16);
    CHECK(f32.dx != bf16.dx);
    CHECK(f32.dw != bf16.dw);
    CHECK_SAME(compare_bits(chosen.dx, dx ? bf16.dx : f32.dx));
    CHECK_SAME(compare_bits(chosen.dw, dw ? bf16.dw : f32.dw));
  }
}
