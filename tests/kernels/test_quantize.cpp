// Learned-step quantization against the double-precision oracle: every range, mask, form, size and grouping.
#include "kernels/quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/reference/quantize_oracle.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

const std::vector<CodeRange> kRanges{{0, 255}, {-128, 127}, {-127, 127}, {0, 15}, {-8, 7},
                                     {0, 7},   {-4, 3},     {0, 3},      {-2, 1}, {-1, 1}};

// Odd rows and columns; 4096 is the block of the sum; rows that the eight tasks do not divide.
const std::vector<Shape> kShapes{{1},       {3},      {7},           {1, 4095}, {1, 4096},
                                 {1, 4097}, {9, 457}, {11, 3, 5, 7}, {16, 513}, {2, 8193}};

OracleMask oracle_mask(GradientMask mask) {
  if (mask == GradientMask::kStrict) return OracleMask::kStrict;
  return mask == GradientMask::kInclusive ? OracleMask::kInclusive : OracleMask::kRounded;
}

struct Bench {
  Graph graph;
  std::unique_ptr<NodeBench> forward, backward;

  Bench(const Shape& shape, const QuantizeAttrs& attrs, int replicas = 1) {
    const Shape steps{attrs.per_channel ? shape[0] : 1};
    const ValueId x = graph.add_input("x", {shape, DType::kF32}), rho = graph.add_input("rho", {steps, DType::kF32}),
                  s0 = graph.add_input("s0", {steps, DType::kF32}), g = graph.add_input("g", {shape, DType::kF32});
    quantize(graph, "quantize", x, rho, s0, attrs);
    graph.add_node("back", quantize_backward_op(), attrs, {x, rho, s0, g});
    forward = std::make_unique<NodeBench>(graph, 0, replicas);
    backward = std::make_unique<NodeBench>(graph, 1, replicas);
  }

  void set(const std::vector<float>& x, const std::vector<float>& parameter, const std::vector<float>& s0,
           const std::vector<float>& g, int replica = 0) {
    for (NodeBench* bench : {forward.get(), backward.get()}) {
      fill(bench->in<float>(0, replica), x);
      fill(bench->in<float>(1, replica), parameter);
      fill(bench->in<float>(2, replica), s0);
    }
    fill(backward->in<float>(3, replica), g);
  }
  std::vector<double> codes(int replica = 0) {
    std::vector<double> result;
    const DType type = forward->bound().out[0].dtype;
    if (type == DType::kU8) {
      for (const auto q : forward->out<std::uint8_t>(0, replica)) result.push_back(q);
    } else {
      for (const auto q : forward->out<std::int8_t>(0, replica)) result.push_back(q);
    }
    return result;
  }
};

// Values over the range and beyond it, the ends, ties and neighbours of ties among them.
std::vector<float> values_around(Index count, CodeRange range, float s, unsigned seed) {
  std::mt19937 random(seed);
  const float width = static_cast<float>(range.p - range.n);
  std::uniform_real_distribution<float> t(static_cast<float>(range.n) - 0.3f * width - 1.0f,
                                          static_cast<float>(range.p) + 0.3f * width + 1.0f);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    float level = t(random);
    if (i % 5 == 0) level = std::floor(level) + 0.5f;
    if (i % 5 == 1) level = std::floor(level);
    if (i % 31 == 2) level = static_cast<float>(range.n);
    if (i % 31 == 3) level = static_cast<float>(range.p);
    values[i] = level * s;
    if (i % 7 == 4) values[i] = std::nextafter(values[i], 1e30f);
    if (i % 7 == 5) values[i] = std::nextafter(values[i], -1e30f);
  }
  return values;
}

std::vector<float> steps_for(Index count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> log2(-6.0f, 1.0f);
  std::vector<float> steps(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i] = i % 3 == 1 ? 0.0625f : std::exp2(log2(random));
  return steps;
}

std::vector<float> stored(const std::vector<float>& steps, StepForm form) {
  std::vector<float> parameters = steps;
  if (form == StepForm::kLog) {
    for (float& p : parameters) p = std::log(p);
  }
  return parameters;
}

float apply(FusedActivation activation, float v) { return activation == FusedActivation::kRelu && v < 0.0f ? 0.0f : v; }

// Checks forward codes, the step, dx and the step gradient of one replica against the oracle. relu or no activation.
void check_against_oracle(Bench& bench, const QuantizeAttrs& attrs, const std::vector<float>& x,
                          const std::vector<float>& g, const std::vector<float>& s0, int replica) {
  const QuantizeOracle oracle{static_cast<double>(attrs.range.n), static_cast<double>(attrs.range.p),
                              oracle_mask(attrs.mask)};
  QuantizeOracle unrounded = oracle;
  unrounded.float_quotient = false;
  const std::vector<float> steps = copy_of(bench.forward->out<float>(1, replica));
  const std::size_t row = x.size() / steps.size();
  std::vector<double> codes, dx;
  const auto dstep = bench.backward->out<float>(1, replica);
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const double s = static_cast<double>(steps[k]);
    std::vector<double> v, gradient;
    for (std::size_t i = k * row; i < (k + 1) * row; ++i) {
      const double a = static_cast<double>(apply(attrs.activation, x[i])), upstream = static_cast<double>(g[i]);
      const double slope = attrs.activation == FusedActivation::kRelu && !(x[i] > 0.0f) ? 0.0 : 1.0;
      v.push_back(a);
      gradient.push_back(upstream);
      codes.push_back(oracle.code(a, s));
      dx.push_back(upstream * (oracle.backward(a, s).pass * slope));
      // Only a quotient within one float of a tie may round otherwise than the exact quotient would.
      if (oracle.code(a, s) != unrounded.code(a, s)) {
        const double t = a / s, tie = std::fabs(t - std::floor(t) - 0.5);
        REQUIRE(tie <= std::fabs(t) * 6.0e-8);
      }
    }
    const StepGradientOracle want = step_gradient(oracle, v, gradient, s);
    const double scale = static_cast<double>(attrs.gradient_scale),
                 factor = attrs.form == StepForm::kLog
                              ? scale * s / (static_cast<double>(s0[k]) * static_cast<double>(s0[k]))
                              : scale;
    const double error = std::fabs(static_cast<double>(dstep[k]) - factor * want.sum);
    INFO("channel " << k << ": " << dstep[k] << ", wanted " << factor * want.sum << " of " << factor * want.magnitude);
    // Relative to the sum, or to the sum of absolute terms where the terms cancel.
    REQUIRE(error <= 1e-6 * std::max(std::fabs(factor * want.sum), 0.1 * factor * want.magnitude));
  }
  CHECK_SAME(compare_exact(bench.codes(replica), codes));
  CHECK_SAME(compare_exact(bench.backward->out<float>(0, replica), dx));
}

void check_case(const Shape& shape, const QuantizeAttrs& attrs, unsigned seed) {
  constexpr int kReplicas = 2;
  INFO(shape.text() << " [" << attrs.range.n << ", " << attrs.range.p << "] mask " << static_cast<int>(attrs.mask)
                    << " form " << static_cast<int>(attrs.form) << " per channel " << attrs.per_channel
                    << " activation " << static_cast<int>(attrs.activation));
  Bench bench(shape, attrs, kReplicas);
  const Index channels = attrs.per_channel ? shape[0] : 1, row = shape.elements() / channels;
  std::vector<std::vector<float>> x(kReplicas), g(kReplicas), s0(kReplicas);
  for (int r = 0; r < kReplicas; ++r) {
    const auto i = static_cast<std::size_t>(r);
    const std::vector<float> steps = steps_for(channels, seed + static_cast<unsigned>(r));
    for (Index k = 0; k < channels; ++k) {
      const auto values =
          values_around(row, attrs.range, steps[static_cast<std::size_t>(k)], seed + static_cast<unsigned>(k));
      x[i].insert(x[i].end(), values.begin(), values.end());
    }
    g[i] = normal_values(shape.elements(), seed + 7 + static_cast<unsigned>(r));
    s0[i] = steps_for(channels, seed + 50 + static_cast<unsigned>(r));
    bench.set(x[i], stored(steps, attrs.form), s0[i], g[i], r);
  }
  const TaskOrder order = seed % 2 == 0 ? TaskOrder::kReverse : TaskOrder::kShuffled;
  bench.forward->run(order);
  bench.backward->run(order);
  for (int r = 0; r < kReplicas; ++r) {
    const auto i = static_cast<std::size_t>(r);
    check_against_oracle(bench, attrs, x[i], g[i], s0[i], r);
    CHECK(bench.forward->status(r).first_fault == 0);
  }
}

}  // namespace

TEST_CASE("quantize equals the LSQ oracle for every range, mask, form and grouping", "[kernels]") {
  unsigned seed = 1;
  for (const CodeRange range : kRanges) {
    for (const GradientMask mask : {GradientMask::kStrict, GradientMask::kInclusive, GradientMask::kRounded}) {
      for (const StepForm form : {StepForm::kLog, StepForm::kLinear}) {
        for (const bool per_channel : {false, true}) {
          for (const FusedActivation activation : {FusedActivation::kNone, FusedActivation::kRelu}) {
            check_case({11, 3, 5, 7},
                       {.range = range,
                        .per_channel = per_channel,
                        .form = form,
                        .mask = mask,
                        .activation = activation,
                        .gradient_scale = 0.37f},
                       seed++);
          }
        }
      }
    }
  }
}

TEST_CASE("quantize works for every size", "[kernels]") {
  unsigned seed = 500;
  for (const Shape& shape : kShapes) {
    for (const bool per_channel : {false, true}) {
      check_case(shape, {.range = {0, 255}, .per_channel = per_channel, .gradient_scale = 0.01f}, seed++);
      check_case(
          shape,
          {.range = {-2, 1}, .per_channel = per_channel, .form = StepForm::kLinear, .mask = GradientMask::kRounded},
          seed++);
    }
  }
}

TEST_CASE("the log form's step is the exponential of its parameter", "[kernels]") {
  const Index n = 4096;
  Bench bench({n, 1}, {.range = {-8, 7}, .per_channel = true});
  std::vector<float> rho;
  for (Index i = 0; i < n; ++i) rho.push_back(-20.0f + 25.0f * static_cast<float>(i) / static_cast<float>(n));
  const auto count = static_cast<std::size_t>(n);
  bench.set(std::vector<float>(count, 1.0f), rho, std::vector<float>(count, 1.0f), std::vector<float>(count, 1.0f));
  bench.forward->run();
  std::vector<double> want;
  for (const float r : rho) want.push_back(std::exp(static_cast<double>(r)));
  CHECK_SAME(compare(bench.forward->out<float>(1), want, {.rel = 2.4e-7}));
}

TEST_CASE("the step gradient agrees with the exact quotient's", "[kernels]") {
  // The oracle rounds nothing here. Rounding the quotient moves a term by up to 2^-24 t, so 8 bits need many terms for
  // 1e-6.
  for (const CodeRange range : kRanges) {
    for (const bool per_channel : {false, true}) {
      const Shape shape{3, 40000};
      const QuantizeAttrs attrs{
          .range = range, .per_channel = per_channel, .form = StepForm::kLinear, .gradient_scale = 0.5f};
      Bench bench(shape, attrs);
      const std::vector<float> steps =
          per_channel ? std::vector<float>{0.3f, 0.07f, 0.011f} : std::vector<float>{0.07f};
      const auto x = normal_values(shape.elements(), 3, 0.4f * static_cast<float>(range.p) * 0.07f);
      const auto g = normal_values(shape.elements(), 4);
      bench.set(x, steps, steps, g);
      bench.backward->run();
      QuantizeOracle oracle{static_cast<double>(range.n), static_cast<double>(range.p)};
      oracle.float_quotient = false;
      const std::size_t row = x.size() / steps.size();
      for (std::size_t k = 0; k < steps.size(); ++k) {
        const auto begin = static_cast<std::ptrdiff_t>(k * row), end = static_cast<std::ptrdiff_t>((k + 1) * row);
        const StepGradientOracle want =
            step_gradient(oracle, {x.begin() + begin, x.begin() + end}, {g.begin() + begin, g.begin() + end},
                          static_cast<double>(steps[k]));
        INFO("[" << range.n << ", " << range.p << "] channel " << k);
        CHECK(std::fabs(static_cast<double>(bench.backward->out<float>(1)[k]) - 0.5 * want.sum) <=
              1e-6 * 0.5 * want.magnitude);
      }
    }
  }
}

TEST_CASE("the fake form is the codes times the step, bit for bit", "[kernels]") {
  for (const CodeRange range : kRanges) {
    for (const FusedActivation activation : {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
      QuantizeAttrs attrs{.range = range, .activation = activation};
      const Shape shape{9, 457};
      const float s = 0.11f;
      const auto x = values_around(shape.elements(), range, s, 9);
      const std::vector<float> g(x.size(), 1.0f), one{1.0f}, rho{std::log(s)};
      Bench codes(shape, attrs);
      attrs.fake = true;
      Bench fake(shape, attrs);
      for (Bench* bench : {&codes, &fake}) {
        bench->set(x, rho, one, g);
        bench->forward->run();
      }
      const float step = codes.forward->out<float>(1)[0];
      CHECK(step == fake.forward->out<float>(1)[0]);
      std::vector<float> want;
      for (const double q : codes.codes()) want.push_back(static_cast<float>(q) * step);
      CHECK_SAME(compare_exact(fake.forward->out<float>(0), want));
    }
  }
}

TEST_CASE("quantize_span gives the codes of the op", "[kernels]") {
  for (const CodeRange range : {CodeRange{0, 15}, CodeRange{-8, 7}}) {
    for (const FusedActivation activation : {FusedActivation::kNone, FusedActivation::kRelu, FusedActivation::kTanh}) {
      const QuantizeAttrs attrs{.range = range, .form = StepForm::kLinear, .activation = activation};
      const auto x = values_around(1003, range, 0.11f, 12);
      Bench bench({1003}, attrs);
      bench.set(x, {0.11f}, {1.0f}, x);
      bench.forward->run();
      std::vector<std::uint8_t> pieces(x.size());
      for (std::size_t at = 0; at < x.size(); at += 17) {
        const auto n = std::min<std::size_t>(17, x.size() - at);
        CHECK_FALSE(quantize_span(attrs, x.data() + at, static_cast<Index>(n), 0.11f, pieces.data() + at));
      }
      CHECK_SAME(compare_bits(bench.forward->out<std::uint8_t>(0), pieces));
    }
  }
}

TEST_CASE("quantize refuses what does not fit", "[kernels]") {
  const auto build = [](const Shape& shape, const Shape& steps, const QuantizeAttrs& attrs, DType type = DType::kF32) {
    Graph graph;
    const ValueId x = graph.add_input("x", {shape, type}), step = graph.add_input("step", {steps, DType::kF32});
    quantize(graph, "q", x, step, step, attrs);
  };
  CHECK_NOTHROW(build({2, 3}, {1}, {}));
  CHECK_THROWS_AS(build({2, 3}, {1}, {}, DType::kU8), ConfigError);
  CHECK_THROWS_AS(build({2, 3}, {2}, {}), ConfigError);
  CHECK_THROWS_AS(build({2, 3}, {}, {}), ConfigError);  // rank 0, as an absent input has
  CHECK_THROWS_AS(build({2, 3}, {3}, {.range = {-8, 7}, .per_channel = true}), ConfigError);
  for (const CodeRange range : {CodeRange{0, 0}, {0, 256}, {-1, 0}, {-129, 127}, {-128, 128}, {1, 3}, {3, 1}}) {
    INFO(range.n << " " << range.p);
    CHECK_THROWS_AS(build({2, 3}, {1}, {.range = range}), ConfigError);
  }
  CHECK_THROWS_WITH(build({2, 3}, {1}, {.range = {0, 256}}),
                    Catch::Matchers::Contains("q (quantize)") && Catch::Matchers::Contains("256"));
}
