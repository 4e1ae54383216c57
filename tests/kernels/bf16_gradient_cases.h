// Gradients of convolutions in bfloat16, for the CPU's and for CUDA's tests. Twice against double loops: on the
// operands as they are rounded, where only the float32 sums may differ; and on those that were not, where each product
// is off by at most the rounding of dy (codes) or of both factors (floats). One rounding is at most 2^-8 of the value
// and near 2^-9 in root mean square, which is what the error of a whole tensor relative to its norm comes to; sums of
// few terms scatter around it.
#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "kernels/common/bfloat16.h"
#include "tests/kernels/conv2d_bench.h"
#include "tests/support/compare.h"

namespace gridstep::test {

constexpr auto kBf16 = ConvGradients::kBfloat16Always;
constexpr double kFloatSum = 1e-6;  // of the terms' magnitudes, as for the gradients in float32
const double kUnit = std::ldexp(1.0, -8), kRms = 1.2 * std::ldexp(1.0, -9);

// Those of the float32 gradients; filters of 7x7; strided 1x1; more filters than pixels (a matrix product) with odd and
// with even numbers of pixels; small images with many channels.
inline std::vector<ConvShape> bf16_shapes() {
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

inline std::string text_of(const ConvShape& a) {
  return x_shape(a).text() + " * " + w_shape(a).text() + " stride " + std::to_string(a.stride) + " pad " +
         std::to_string(a.pad);
}

// Off by no more than this share of the terms' magnitudes.
inline Comparison compare_sums(std::span<const float> got, const ConvSums& want, double tolerance) {
  std::vector<double> error;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error.push_back((static_cast<double>(got[i]) - want.values[i]) / (want.magnitudes[i] + 1e-30));
  }
  return compare(error, std::vector<double>(want.values.size(), 0.0), {.abs = tolerance});
}

inline double relative_to_norm(std::span<const float> got, const std::vector<double>& want) {
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double e = static_cast<double>(got[i]) - want[i];
    error += e * e;
    norm += want[i] * want[i];
  }
  return norm == 0.0 ? 0.0 : std::sqrt(error / norm);
}

inline std::vector<double> rounded(const std::vector<float>& values) {
  std::vector<double> result;
  for (const float v : values) result.push_back(static_cast<double>(to_float(to_bf16(v))));
  return result;
}

struct Gradients {
  std::vector<float> dx, dw, db;
};

// The operands of one case: what the kernel gets, as real values, and as the kernel rounds them.
struct GradientCase {
  std::vector<float> dy;
  std::vector<double> x, w, real_dy;   // the real values
  std::vector<double> x16, w16, dy16;  // of the products of dw and dx; real units
  std::vector<double> dy16_of_data;
};

inline void check_gradients(const ConvShape& a, const GradientCase& c, const Gradients& got, double unit, double rms) {
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
void set_codes(std::span<T> to, const std::vector<std::int16_t>& codes) {
  for (std::size_t i = 0; i < codes.size(); ++i) to[i] = static_cast<T>(codes[i]);
}

// Runs the data gradient's node, and the weight gradient's, of the geometry.
struct GradientRunner {
  DeviceKind device = DeviceKind::kCpu;
  int replicas = 1;
  std::optional<GemmChoice> gemm = {};  // tile of the data gradient
  std::function<void(NodeBench&bench, const ConvShape&)> data, weight;
};

inline Gradients gradients_of(NodeBench& data, NodeBench& weight, int replica) {
  return {copy_of(data.out<float>(0, replica)), copy_of(weight.out<float>(0, replica)),
          copy_of(weight.out<float>(1, replica))};
}

inline void set_gemm(Graph& graph, const GradientRunner& runner) {
  std::any_cast<Conv2dAttrs&>(graph.node(1).attrs).gemm = runner.gemm;
}

// Every replica has operands of its own.
inline void check_floats(const ConvShape& a, unsigned seed, const GradientRunner& runner) {
  ConvNodes nodes = float_nodes(a, kBf16);
  set_gemm(nodes.graph, runner);
  NodeBench data(nodes.graph, 1, runner.replicas, runner.device),
      weight(nodes.graph, 2, runner.replicas, runner.device);
  std::vector<GradientCase> cases;
  for (int r = 0; r < runner.replicas; ++r) {
    const unsigned own = seed + 1000u * static_cast<unsigned>(r);
    const auto x = normal_values(a.x_size(), own), w = normal_values(a.w_size(), own + 1);
    GradientCase c;
    c.dy = normal_values(a.y_size(), own + 2);
    c.x = doubles(x), c.w = doubles(w), c.real_dy = doubles(c.dy);
    c.x16 = rounded(x), c.w16 = rounded(w), c.dy16 = rounded(c.dy);
    c.dy16_of_data = c.dy16;
    fill(data.in<float>(0, r), c.dy);
    fill(data.in<float>(1, r), w);
    fill(weight.in<float>(0, r), x);
    fill(weight.in<float>(1, r), c.dy);
    cases.push_back(std::move(c));
  }
  runner.data(data, a);
  runner.weight(weight, a);
  for (int r = 0; r < runner.replicas; ++r) {
    check_gradients(a, cases[static_cast<std::size_t>(r)], gradients_of(data, weight, r), 2.0 * kUnit + kUnit * kUnit,
                    std::sqrt(2.0) * kRms);
  }
}

struct CodeCase {
  DType type;
  CodeRange x_range;
  bool per_channel;
};

inline GradientCase code_case(const ConvShape& a, const std::vector<std::int16_t>& x,
                              const std::vector<std::int16_t>& w, float sx, const std::vector<float>& sw,
                              unsigned seed) {
  GradientCase c;
  c.dy = normal_values(a.y_size(), seed);
  c.real_dy = doubles(c.dy);
  c.dy16 = rounded(c.dy);
  std::vector<float> scaled = c.dy;
  for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] *= sw[i % sw.size()];
  c.dy16_of_data = rounded(scaled);
  c.x = doubles(x);
  for (double& v : c.x) v *= static_cast<double>(sx);
  c.x16 = c.x;
  c.w16 = doubles(w);  // the steps are in dy
  c.w = c.w16;
  const std::size_t fan_in = c.w.size() / static_cast<std::size_t>(a.k);
  for (std::size_t i = 0; i < c.w.size(); ++i) c.w[i] *= static_cast<double>(sw[i / fan_in % sw.size()]);
  return c;
}

inline void check_codes(const ConvShape& a, const CodeCase& kind, unsigned seed, const GradientRunner& runner) {
  const Index steps = kind.per_channel ? a.k : 1;
  CodeNodes codes = code_nodes(a, kind.type, steps, kBf16);
  Graph& graph = codes.nodes.graph;
  set_gemm(graph, runner);
  NodeBench data(graph, 1, runner.replicas, runner.device), weight(graph, 2, runner.replicas, runner.device);
  std::vector<GradientCase> cases;
  for (int r = 0; r < runner.replicas; ++r) {
    const unsigned own = seed + 1000u * static_cast<unsigned>(r);
    const auto x = code_values<std::int16_t>(a.x_size(), kind.x_range.n, kind.x_range.p, own),
               w = code_values<std::int16_t>(a.w_size(), -127, 127, own + 1);
    const float sx = 0.0123f + 0.001f * static_cast<float>(r);
    std::vector<float> sw;
    for (Index k = 0; k < steps; ++k) sw.push_back(0.003f + 0.0007f * static_cast<float>((k + r) % 40));
    cases.push_back(code_case(a, x, w, sx, sw, own + 2));
    fill(data.in<float>(0, r), cases.back().dy);
    set_codes(data.in<std::int8_t>(1, r), w);
    fill(data.in<float>(2, r), sw);
    set_codes(weight.in<std::uint8_t>(0, r), x);  // s8: the same bytes
    fill(weight.in<float>(1, r), cases.back().dy);
    weight.in<float>(3, r)[0] = sx;
  }
  runner.data(data, a);
  runner.weight(weight, a);
  for (int r = 0; r < runner.replicas; ++r) {
    check_gradients(a, cases[static_cast<std::size_t>(r)], gradients_of(data, weight, r), kUnit * (1.0 + 1e-3),
                    kRms);  // dy s_w[k] is rounded to float32 before
  }
}

}  // namespace gridstep::test
