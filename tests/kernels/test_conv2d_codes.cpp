// conv2d on integer codes: exact sums, the strict epilogue bit for bit, gradients, fused quantizers, the exactness
// count.
#include <cstdio>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/passes/fuse.h"
#include "kernels/conv2d/onednn.h"
#include "kernels/relu/relu.h"
#include "kernels/tanh/tanh.h"
#include "tests/kernels/conv2d_bench.h"
#include "tests/support/compare.h"
#include "tests/support/program_bench.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

struct CodeCase {
  std::vector<std::int64_t> x, w;
  float sx;
  std::vector<float> sw, b, dy;
};

std::vector<std::int64_t> wide(const auto& codes) { return {codes.begin(), codes.end()}; }

void set_codes(std::span<std::uint8_t> to, const std::vector<std::int64_t>& codes) {
  for (std::size_t i = 0; i < codes.size(); ++i)
    to[i] = static_cast<std::uint8_t>(codes[i]);  // two's complement for s8
}

CodeCase make_case(const ConvShape& a, CodeRange x, CodeRange w, bool per_channel, unsigned seed) {
  CodeCase c;
  c.x = wide(code_values<std::int16_t>(a.x_size(), x.n, x.p, seed));
  c.w = wide(code_values<std::int16_t>(a.w_size(), w.n, w.p, seed + 1));
  c.sx = 0.0123f;
  c.b = normal_values(a.k, seed + 2);
  for (Index k = 0; k < (per_channel ? a.k : 1); ++k) c.sw.push_back(0.003f + 0.0007f * static_cast<float>(k));
  c.dy = normal_values(a.y_size(), seed + 3);
  return c;
}

// Forward bit for bit; returns the replica's count of inexact channels.
std::uint64_t check_forward(const ConvShape& a, DType type, const CodeCase& c, TaskOrder order) {
  const CodeNodes codes = code_nodes(a, type, static_cast<Index>(c.sw.size()));
  NodeBench bench(codes.nodes.graph, 0, 2);
  for (int r = 0; r < 2; ++r) {
    set_codes(bench.in<std::uint8_t>(0, r), c.x);
    set_codes(bench.in<std::uint8_t>(1, r), c.w);
    fill(bench.in<float>(2, r), c.b);
    bench.in<float>(3, r)[0] = c.sx;
    fill(bench.in<float>(4, r), c.sw);
  }
  bench.run(order);
  const std::vector<float> want = strict_epilogue(conv_codes(a, c.x, c.w), c.sx, c.sw, c.b);
  for (int r = 0; r < 2; ++r) CHECK_SAME(compare_bits(bench.out<float>(0, r), want));
  CHECK(bench.status(0).inexact == bench.status(1).inexact);
  return bench.status(0).inexact;
}

// The gradients are those of the float convolution on the real values.
void check_backward(const ConvShape& a, DType type, const CodeCase& c) {
  const CodeNodes codes = code_nodes(a, type, static_cast<Index>(c.sw.size()));
  NodeBench data(codes.nodes.graph, 1), weight(codes.nodes.graph, 2);
  fill(data.in<float>(0), c.dy);
  set_codes(data.in<std::uint8_t>(1), c.w);
  fill(data.in<float>(2), c.sw);
  set_codes(weight.in<std::uint8_t>(0), c.x);
  fill(weight.in<float>(1), c.dy);
  weight.in<float>(3)[0] = c.sx;
  data.run();
  weight.run(TaskOrder::kReverse);
  std::vector<double> x = doubles(c.x), w = doubles(c.w);
  for (double& v : x) v *= static_cast<double>(c.sx);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::size_t k = i / (w.size() / static_cast<std::size_t>(a.k));
    w[i] *= static_cast<double>(c.sw[c.sw.size() == 1 ? 0 : k]);
  }
  const auto check = [](std::span<float> got, const ConvSums& want) {
    std::vector<double> error;
    for (std::size_t i = 0; i < got.size(); ++i)
      error.push_back((static_cast<double>(got[i]) - want.values[i]) / (want.magnitudes[i] + 1e-30));
    CHECK_SAME(compare(error, std::vector<double>(want.values.size(), 0.0), {.abs = 1e-6}));
  };
  const auto dy = doubles(c.dy);
  check(data.out<float>(0), conv_backward_data(a, dy, w));
  check(weight.out<float>(0), conv_backward_weight(a, x, dy));
  check(weight.out<float>(1), conv_backward_bias(a, dy));
}

std::string text(const ConvShape& a) { return x_shape(a).text() + " * " + w_shape(a).text(); }

// x (a batch of 9: chunks of two sizes) -> conv -> activation -> quantizer, all of it read from outside or not.
struct FusedCase {
  ConvShape a;
  bool on_codes;
  std::string activation;
  QuantizeAttrs quantize;
  bool keep_y = false;
};

Graph build(const FusedCase& c, bool fused) {
  Graph g;
  const ConvShape& a = c.a;
  const ValueId x = g.add_input("x", {x_shape(a), c.on_codes ? DType::kU8 : DType::kF32}),
                w = g.add_input("w", {w_shape(a), c.on_codes ? DType::kS8 : DType::kF32}),
                b = g.add_input("b", {{a.k}, DType::kF32}), sx = g.add_input("sx", {{1}, DType::kF32}),
                sw = g.add_input("sw", {{a.k}, DType::kF32}), rho = g.add_input("rho", {{1}, DType::kF32}),
                s0 = g.add_input("s0", {{1}, DType::kF32});
  ConvInputs inputs{x, w, b};
  if (c.on_codes) inputs = {x, w, b, sx, sw};
  ValueId y = conv2d(g, "conv", inputs, a.stride, a.pad);
  if (c.activation == "relu") y = relu(g, "relu", y);
  if (c.activation == "tanh") y = gridstep::tanh(g, "tanh", y);
  const QuantizedValue q = quantize(g, "quantize", y, rho, s0, c.quantize);
  if (fused) {
    REQUIRE(fuse(g).size() == (c.activation == "none" ? 1 : 2));
    REQUIRE(g.nodes().size() == 1);
  }
  g.mark_output(q.codes);
  g.mark_output(q.step);
  if (c.keep_y && fused) g.mark_output(g.find_value("conv"));
  return g;
}

struct FusedResult {
  std::vector<std::uint8_t> codes;
  float step = 0.0f;
  std::uint64_t fault = 0;
};

FusedResult run_fused(const FusedCase& c, bool fused, int threads, bool plant_nan) {
  ProgramBench bench(build(c, fused), {.replicas = 2, .threads = threads});
  for (int r = 0; r < 2; ++r) {
    const auto seed = static_cast<unsigned>(7 + 31 * r);
    const CodeCase codes = make_case(c.a, {0, 255}, {-127, 127}, true, seed);
    if (c.on_codes) {
      set_codes(bench.values<std::uint8_t>("x", r), codes.x);
      set_codes(bench.values<std::uint8_t>("w", r), codes.w);
    } else {
      fill(bench.values<float>("x", r), normal_values(c.a.x_size(), seed));
      fill(bench.values<float>("w", r), normal_values(c.a.w_size(), seed + 1, 0.2f));
    }
    fill(bench.values<float>("b", r), codes.b);
    if (plant_nan && r == 1) bench.values<float>("b", r)[1] = std::numeric_limits<float>::quiet_NaN();
    bench.values<float>("sx", r)[0] = codes.sx;
    fill(bench.values<float>("sw", r), codes.sw);
    bench.values<float>("rho", r)[0] = c.quantize.form == StepForm::kLog ? std::log(0.02f) : 0.02f;
    bench.values<float>("s0", r)[0] = 0.02f;
  }
  bench.run();
  const std::string codes =
      bench.program().graph().value(bench.program().graph().nodes().back().outputs.end()[-2]).name;
  FusedResult result;
  for (int r = 0; r < 2; ++r) {
    const Tensor t = bench.program().tensor(codes);
    const auto* bytes = t.at<std::uint8_t>(r);
    result.codes.insert(result.codes.end(), bytes, bytes + t.elements() * size_of(t.dtype));
    if (c.keep_y && fused) {
      const auto y = bench.values<float>("conv", r);
      CHECK(std::none_of(y.begin(), y.end(), [](float v) { return v == 0.0f; }));
    }
  }
  result.step = bench.values<float>(
      bench.program().graph().value(bench.program().graph().nodes().back().outputs.back()).name, 1)[0];
  CHECK(bench.status(0).first_fault == 0);
  result.fault = bench.status(1).first_fault >> 32;
  return result;
}

}  // namespace

TEST_CASE("convolution of codes is exact, its epilogue strict", "[kernels]") {
  unsigned seed = 1;
  for (const ConvShape& a : conv_shapes()) {
    INFO(text(a));
    for (const bool per_channel : {false, true}) {
      CHECK(check_forward(a, DType::kU8, make_case(a, {0, 255}, {-127, 127}, per_channel, seed), TaskOrder::kReverse) ==
            0);
      CHECK(check_forward(a, DType::kS8, make_case(a, {-128, 127}, {-127, 127}, per_channel, seed + 1),
                          TaskOrder::kShuffled) == 0);
      CHECK(check_forward(a, DType::kU8, make_case(a, {0, 3}, {-2, 1}, per_channel, seed + 2), TaskOrder::kForward) ==
            0);
      seed += 10;
    }
  }
}

TEST_CASE("extreme codes stay exact", "[kernels]") {
  // 3 * 3 * 57 taps of 255 * 127 add up to 16 613 505, just below 2^24.
  const ConvShape a{1, 3, 3, 57, 5, 3, 3, 1, 1};
  for (const int w : {-127, 127}) {
    CodeCase c = make_case(a, {255, 256}, {w, w + 1}, true, 3);
    std::fill(c.x.begin(), c.x.end(), 255);
    std::fill(c.w.begin(), c.w.end(), w);
    CHECK(check_forward(a, DType::kU8, c, TaskOrder::kForward) == 0);
  }
}

TEST_CASE("channels whose sums could leave float's exact integers are counted", "[kernels]") {
  if (int8_convolution_is_exact()) return;  // sums run in int32: nothing to count
  const ConvShape a{1, 1, 1, 521, 3, 1, 1, 1, 0};
  CodeCase c = make_case(a, {0, 1}, {-1, 1}, true, 3);
  // sum |q_w| * 255 <= 2^24 = 16 777 216 means sum |q_w| <= 65 793.
  std::fill(c.w.begin(), c.w.end(), 0);
  const auto set = [&](std::size_t k, std::int64_t total) {
    for (std::size_t i = 0; total > 0; ++i) {
      c.w[k * 521 + i] = i % 2 == 0 ? std::min<std::int64_t>(127, total) : -std::min<std::int64_t>(127, total);
      total -= std::abs(c.w[k * 521 + i]);
    }
  };
  set(0, 65793);
  set(1, 65794);
  set(2, 100);
  CHECK(check_forward(a, DType::kU8, c, TaskOrder::kForward) == 1);
  CHECK(check_forward(a, DType::kS8, c, TaskOrder::kForward) == 0);  // at most 128 * 65 794
}

TEST_CASE("gradients through codes are those of the real values", "[kernels]") {
  unsigned seed = 100;
  for (const ConvShape& a : conv_shapes()) {
    INFO(text(a));
    for (const bool per_channel : {false, true}) {
      check_backward(a, DType::kU8, make_case(a, {0, 255}, {-127, 127}, per_channel, seed));
      check_backward(a, DType::kS8, make_case(a, {-8, 7}, {-4, 3}, per_channel, seed + 1));
      seed += 10;
    }
  }
}

TEST_CASE("a fused quantizer gives the codes of the ops apart, bit for bit", "[kernels]") {
  const ConvShape a{9, 7, 6, 5, 33, 3, 3, 1, 1};
  for (const bool on_codes : {false, true}) {
    for (const std::string activation : {"none", "relu", "tanh"}) {
      for (const CodeRange range : {CodeRange{0, 255}, CodeRange{-128, 127}, CodeRange{0, 3}}) {
        for (const bool fake : {false, true}) {
          for (const bool keep_y : {false, true}) {
            INFO(on_codes << " " << activation << " p " << range.p << " fake " << fake << " keep y " << keep_y);
            const FusedCase c{a, on_codes, activation, {.range = range, .fake = fake}, keep_y};
            const FusedResult apart = run_fused(c, false, 1, false), fused = run_fused(c, true, 2, false);
            CHECK_SAME(compare_bits(fused.codes, apart.codes));
            CHECK(fused.step == apart.step);
            CHECK(fused.fault == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("a fused quantizer notes a NaN as the ops apart do", "[kernels]") {
  const FusedCase c{{9, 3, 3, 3, 5, 3, 3, 1, 1}, true, "relu", {.range = {0, 255}}, false};
  const FusedResult apart = run_fused(c, false, 1, true), fused = run_fused(c, true, 1, true);
  CHECK_SAME(compare_bits(fused.codes, apart.codes));
  CHECK(fused.fault == apart.fault);
}

// Run by the test below in a process of its own: the choice of arithmetic is made once per process.
TEST_CASE("int8 convolution of 7-bit weights is exact", "[.int8]") {
  unsigned seed = 1;
  int checked = 0;
  for (const ConvShape& a : conv_shapes()) {
    INFO(text(a));
    for (const bool per_channel : {false, true}) {
      // Without VNNI pairs of products are added in 16 bits: 2 * 255 * 64 fits.
      CHECK(check_forward(a, DType::kU8, make_case(a, {0, 255}, {-64, 63}, per_channel, seed), TaskOrder::kShuffled) ==
            0);
      check_backward(a, DType::kU8, make_case(a, {0, 255}, {-64, 63}, per_channel, seed));
      ++checked;
      seed += 10;
    }
  }
  for (const bool keep_y : {false, true}) {
    const FusedCase c{{9, 7, 6, 5, 33, 3, 3, 1, 1}, true, "relu", {.range = {0, 255}}, keep_y};
    const FusedResult apart = run_fused(c, false, 1, false), fused = run_fused(c, true, 2, false);
    CHECK_SAME(compare_bits(fused.codes, apart.codes));
    CHECK(fused.step == apart.step);
  }
  if (int8_convolution_is_exact()) WARN("int8 convolutions checked: " << checked);
}

TEST_CASE("the forced int8 convolution is exact on any CPU", "[kernels]") {
  const std::string command =
      "GRIDSTEP_INT8_CONV=1 '" + std::filesystem::read_symlink("/proc/self/exe").string() + "' '[.int8]' 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string output;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  INFO(output);
  CHECK(::pclose(pipe) == 0);
  CHECK(output.find("int8 convolutions checked: " + std::to_string(2 * conv_shapes().size())) != std::string::npos);
}
