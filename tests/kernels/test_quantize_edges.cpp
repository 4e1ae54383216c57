// Learned-step quantization: known vectors, PyTorch's numbers, NaN, infinities, denormals, fused activations.
#include <cmath>
#include <limits>

#include "kernels/quantize/quantize.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "tests/golden/quantize/quantize_golden.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Result {
  std::vector<double> codes;
  std::vector<float> dx, dstep, values;
  std::uint64_t fault = 0;
};

// Forward (codes and fake values) and backward of one replica, linear form.
Result run(const Shape& shape, QuantizeAttrs attrs, const std::vector<float>& x, const std::vector<float>& steps,
           const std::vector<float>& g) {
  attrs.form = StepForm::kLinear;
  Graph graph;
  const Shape step_shape{attrs.per_channel ? shape[0] : 1};
  const ValueId xv = graph.add_input("x", {shape, DType::kF32}), s = graph.add_input("s", {step_shape, DType::kF32}),
                s0 = graph.add_input("s0", {step_shape, DType::kF32}), gv = graph.add_input("g", {shape, DType::kF32});
  quantize(graph, "codes", xv, s, s0, attrs);
  graph.add_node("back", quantize_backward_op(), attrs, {xv, s, s0, gv});
  attrs.fake = true;
  quantize(graph, "fake", xv, s, s0, attrs);
  Result result;
  for (const NodeId node : {0, 1, 2}) {
    NodeBench bench(graph, node);
    bench.params().step = 12;
    fill(bench.in<float>(0), x);
    fill(bench.in<float>(1), steps);
    fill(bench.in<float>(2), steps);
    if (node == 1) fill(bench.in<float>(3), g);
    bench.run(TaskOrder::kForward, nullptr, 5);
    if (node == 0) {
      result.fault = bench.status().first_fault;
      if (attrs.range.n >= 0) {
        for (const auto q : bench.out<std::uint8_t>(0)) result.codes.push_back(q);
      } else {
        for (const auto q : bench.out<std::int8_t>(0)) result.codes.push_back(q);
      }
    } else if (node == 1) {
      result.dx = copy_of(bench.out<float>(0));
      result.dstep = copy_of(bench.out<float>(1));
    } else {
      result.values = copy_of(bench.out<float>(0));
      CHECK(bench.status().first_fault == 0);  // the fake form keeps the NaN instead
    }
  }
  return result;
}

GradientMask mask_of(const std::string& name) {
  return name == "strict" ? GradientMask::kStrict
                          : (name == "inclusive" ? GradientMask::kInclusive : GradientMask::kRounded);
}

std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

}  // namespace

TEST_CASE("quantize equals PyTorch", "[kernels][golden]") {
  REQUIRE(kQuantizeGolden.size() == 60);
  for (const QuantizeGolden& row : kQuantizeGolden) {
    INFO(row.mask << " [" << row.n << ", " << row.p << "] steps " << row.steps.size());
    const QuantizeAttrs attrs{.range = {row.n, row.p},
                              .per_channel = row.steps.size() > 1,
                              .mask = mask_of(row.mask),
                              .gradient_scale = static_cast<float>(row.gradient_scale)};
    const Result got = run({3, 9}, attrs, floats(row.x), floats(row.steps), floats(row.g));
    CHECK_SAME(compare(got.values, row.y, {.abs = 1e-12, .rel = 6.0e-8}));  // one rounding of q s
    CHECK_SAME(compare_exact(got.dx, row.dx));
    double magnitude = 0.0;
    for (const double g : row.g) magnitude += std::fabs(g);
    CHECK_SAME(compare(got.dstep, row.dsteps, {.abs = 1e-6 * row.gradient_scale * magnitude, .rel = 1e-6}));
  }
}

TEST_CASE("quantize reproduces the worked example", "[kernels]") {
  // Range [-2, 1], s = 0.5, G = 1, gradient scale 1 / sqrt(7 * 1).
  const std::vector<float> v{-1.3f, -1.0f, -0.6f, -0.24f, 0.26f, 0.5f, 0.7f};
  const float scale = static_cast<float>(1.0 / std::sqrt(7.0));
  const auto with = [&](GradientMask mask) {
    return run({7}, {.range = {-2, 1}, .mask = mask, .gradient_scale = scale}, v, {0.5f}, std::vector<float>(7, 1.0f));
  };
  const Result strict = with(GradientMask::kStrict);
  CHECK_SAME(compare_exact(strict.codes, std::vector<int>{-2, -2, -1, 0, 1, 1, 1}));
  CHECK_SAME(compare_exact(strict.dx, std::vector<int>{0, 0, 1, 1, 1, 0, 0}));
  CHECK_SAME(compare(strict.dstep, std::vector<double>{-0.84 / std::sqrt(7.0)}, {.rel = 1e-6}));
  const Result inclusive = with(GradientMask::kInclusive);
  CHECK_SAME(compare_exact(inclusive.dx, std::vector<int>{0, 1, 1, 1, 1, 1, 0}));
  CHECK_SAME(compare(inclusive.dstep, std::vector<double>{0.16 / std::sqrt(7.0)}, {.rel = 1e-6}));
  const Result rounded = with(GradientMask::kRounded);
  CHECK_SAME(compare_exact(rounded.dx, std::vector<int>{0, 1, 1, 1, 1, 1, 1}));
  CHECK_SAME(compare(rounded.dstep, std::vector<double>{-1.24 / std::sqrt(7.0)}, {.rel = 1e-6}));
}

TEST_CASE("ties round to even and the ends are hit exactly", "[kernels]") {
  const std::vector<float> v{0.5f, 1.5f, -0.5f, -1.5f, 2.5f, 6.5f, 7.0f, 7.5f, -7.5f, -8.0f, -8.5f, 0.0f, -0.0f};
  const std::vector<float> g(v.size(), 1.0f);
  const auto with = [&](GradientMask mask) { return run({13}, {.range = {-8, 7}, .mask = mask}, v, {1.0f}, g); };
  CHECK_SAME(
      compare_exact(with(GradientMask::kStrict).codes, std::vector<int>{0, 2, 0, -2, 2, 6, 7, 7, -8, -8, -8, 0, 0}));
  CHECK_SAME(compare_exact(with(GradientMask::kStrict).dx, std::vector<int>{1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 1}));
  CHECK_SAME(compare_exact(with(GradientMask::kInclusive).dx, std::vector<int>{1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1}));
  // 7.5 rounds to 8, outside; -8.5 to -8, inside.
  CHECK_SAME(compare_exact(with(GradientMask::kRounded).dx, std::vector<int>{1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1}));
}

TEST_CASE("NaN becomes code 0 and the replica's fault; the fake form keeps it", "[kernels]") {
  for (const CodeRange range : {CodeRange{0, 255}, CodeRange{-8, 7}}) {
    for (const bool per_channel : {false, true}) {
      for (const FusedActivation activation :
           {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
        const std::vector<float> x{1.0f, 2.0f, kNan, 3.0f}, g(4, 1.0f), steps(per_channel ? 2 : 1, 1.0f);
        const Result got =
            run({2, 2}, {.range = range, .per_channel = per_channel, .activation = activation}, x, steps, g);
        CHECK(got.codes[2] == 0.0);
        CHECK(got.codes[0] == 1.0);
        CHECK(got.fault == (std::uint64_t{12} << 32 | 6));
        CHECK(std::isnan(got.values[2]));
        CHECK_FALSE(std::isnan(got.values[3]));
        CHECK(std::isnan(got.dstep.back()));  // a NaN does not vanish from the step's gradient either
        if (per_channel) CHECK(std::isfinite(got.dstep[0]));
      }
    }
  }
}

TEST_CASE("a NaN or a zero step cannot pass as a number", "[kernels]") {
  const std::vector<float> x{1.0f, 0.0f}, g(2, 1.0f);
  const Result nan = run({2}, {.range = {-8, 7}}, x, {kNan}, g);
  CHECK(nan.fault != 0);
  CHECK((std::isnan(nan.values[0]) && std::isnan(nan.dstep[0])));
  const Result zero = run({2}, {.range = {-8, 7}}, x, {0.0f}, g);  // 0 / 0
  CHECK(zero.fault != 0);
}

TEST_CASE("infinities saturate with finite step gradients", "[kernels]") {
  for (const GradientMask mask : {GradientMask::kStrict, GradientMask::kInclusive, GradientMask::kRounded}) {
    const Result got = run({3}, {.range = {-8, 7}, .mask = mask}, {kInf, -kInf, 3.4e38f}, {0.5f}, {1.0f, 2.0f, 4.0f});
    CHECK_SAME(compare_exact(got.codes, std::vector<int>{7, -8, 7}));
    CHECK_SAME(compare_exact(got.values, std::vector<double>{3.5, -4.0, 3.5}));
    CHECK_SAME(compare_exact(got.dx, std::vector<int>{0, 0, 0}));
    CHECK_SAME(compare_exact(got.dstep, std::vector<int>{7 - 16 + 28}));
    CHECK(got.fault == 0);
  }
}

TEST_CASE("denormal values and steps divide as any others", "[kernels]") {
  const float d = std::numeric_limits<float>::denorm_min();
  const Result tiny = run({4}, {.range = {-8, 7}}, {d, -d, 1e-39f, 0.0f}, {1.0f}, {1.0f, 1.0f, 1.0f, 1.0f});
  CHECK_SAME(compare_exact(tiny.codes, std::vector<int>{0, 0, 0, 0}));
  CHECK_SAME(compare_exact(tiny.dx, std::vector<int>{1, 1, 1, 1}));
  const Result unsigned_zero = run({3}, {.range = {0, 7}}, {d, 0.0f, -d}, {1.0f}, {1.0f, 1.0f, 1.0f});
  CHECK_SAME(compare_exact(unsigned_zero.dx, std::vector<int>{1, 0, 0}));
  const Result step =
      run({4}, {.range = {-8, 7}}, {3.0f * d, -5.0f * d, 1.0f, 2.0f * d}, {2.0f * d}, {1.0f, 1.0f, 1.0f, 1.0f});
  CHECK_SAME(compare_exact(step.codes, std::vector<int>{2, -2, 7, 1}));  // 1.5 and -2.5 are ties
}

TEST_CASE("a fused activation gives the codes and gradients of the two ops", "[kernels]") {
  const Shape shape{9, 457};
  const auto x = normal_values(shape.elements(), 5, 1.3f), g = normal_values(shape.elements(), 6);
  for (const FusedActivation activation : {FusedActivation::kRelu, FusedActivation::kTanh}) {
    const bool relu = activation == FusedActivation::kRelu;
    for (const CodeRange range : {CodeRange{0, 255}, CodeRange{-128, 127}, CodeRange{-4, 3}}) {
      const float s = 1.1f / static_cast<float>(range.p);
      Graph graph;
      graph.add_node("y", relu ? relu_op() : tanh_op(), {}, {graph.add_input("x", {shape, DType::kF32})});
      const ValueId y = graph.find_value("y");
      graph.add_node("back", relu ? relu_backward_op() : tanh_backward_op(), {},
                     {relu ? graph.find_value("x") : y, graph.add_input("dy", {shape, DType::kF32})});
      NodeBench forward(graph, 0), backward(graph, 1);
      fill(forward.in<float>(0), x);
      forward.run();
      const auto activated = copy_of(forward.out<float>(0));
      const Result apart = run(shape, {.range = range}, activated, {s}, g);
      fill(backward.in<float>(0), relu ? x : activated);
      fill(backward.in<float>(1), apart.dx);
      backward.run();
      const Result fused = run(shape, {.range = range, .activation = activation}, x, {s}, g);
      CHECK_SAME(compare_exact(fused.codes, apart.codes));
      CHECK_SAME(compare_bits(fused.values, apart.values));
      CHECK_SAME(compare_bits(fused.dstep, apart.dstep));
      CHECK_SAME(compare_exact(fused.dx, copy_of(backward.out<float>(0))));
    }
  }
}
