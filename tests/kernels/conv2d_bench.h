// The three passes of one convolution on given data, for the tests of conv2d.
#pragma once

#include <vector>

#include "kernels/conv2d/conv2d.h"
#include "tests/reference/conv_oracle.h"
#include "tests/support/bind.h"

namespace gridstep::test {

inline Shape x_shape(const ConvShape& a) { return {a.n, a.h, a.w, a.c}; }
inline Shape w_shape(const ConvShape& a) { return {a.k, a.r, a.s, a.c}; }
inline Shape y_shape(const ConvShape& a) { return {a.n, a.p(), a.q(), a.k}; }

// Geometries: odd channels, 1x1 to 5x5 and a rectangle, strides, paddings, images of one pixel; batches that are whole,
// and that fall into chunks of two sizes.
inline std::vector<ConvShape> conv_shapes() {
  return {{1, 1, 1, 3, 5, 3, 3, 1, 1},    {1, 1, 6, 5, 7, 3, 3, 1, 1},    {3, 5, 4, 3, 5, 5, 5, 1, 2},
          {8, 3, 3, 5, 7, 1, 1, 1, 0},    {9, 4, 5, 5, 7, 3, 3, 1, 1},    {9, 6, 1, 3, 5, 3, 3, 2, 1},
          {3, 7, 8, 2, 3, 5, 5, 2, 2},    {16, 3, 4, 33, 27, 3, 3, 1, 1}, {11, 5, 5, 1, 1, 3, 3, 1, 0},
          {1, 9, 11, 64, 32, 3, 3, 1, 1}, {2, 5, 6, 4, 3, 3, 1, 1, 0},    {1, 6, 6, 3, 4, 2, 2, 2, 0},
          {17, 2, 2, 3, 16, 1, 1, 2, 0},  {2, 4, 4, 2, 3, 3, 3, 1, 2}};
}

struct ConvNodes {
  Graph graph;
  ValueId x, w, b, y, dy, dx, dw, db;  // dy: an input
};

// Forward, backward data and backward weight as nodes 0, 1 and 2, on floats.
inline ConvNodes float_nodes(const ConvShape& a, ConvGradients gradients = ConvGradients::kFloat32) {
  ConvNodes nodes;
  Graph& g = nodes.graph;
  nodes.x = g.add_input("x", {x_shape(a), DType::kF32});
  nodes.w = g.add_input("w", {w_shape(a), DType::kF32});
  nodes.b = g.add_input("b", {{a.k}, DType::kF32});
  nodes.dy = g.add_input("dy", {y_shape(a), DType::kF32});
  nodes.y = conv2d(g, "conv", {nodes.x, nodes.w, nodes.b}, a.stride, a.pad);
  Conv2dAttrs attrs{a.stride, a.pad, {}, a.h, a.w};
  attrs.gradients = gradients;
  nodes.dx = g.add_node("data", conv2d_backward_data_op(), attrs, {nodes.dy, nodes.w, kNoValue})[0];
  const auto back = g.add_node("weight", conv2d_backward_weight_op(), attrs, {nodes.x, nodes.dy, nodes.w, kNoValue});
  nodes.dw = back[0];
  nodes.db = back[1];
  return nodes;
}

struct CodeNodes {
  ConvNodes nodes;
  ValueId sx, sw;
};

// The same on codes; `w_steps`: 1 or K.
inline CodeNodes code_nodes(const ConvShape& a, DType x_type, Index w_steps,
                            ConvGradients gradients = ConvGradients::kFloat32) {
  CodeNodes codes;
  Graph& g = codes.nodes.graph;
  ConvNodes& nodes = codes.nodes;
  nodes.x = g.add_input("x", {x_shape(a), x_type});
  nodes.w = g.add_input("w", {w_shape(a), DType::kS8});
  nodes.b = g.add_input("b", {{a.k}, DType::kF32});
  codes.sx = g.add_input("sx", {{1}, DType::kF32});
  codes.sw = g.add_input("sw", {{w_steps}, DType::kF32});
  nodes.dy = g.add_input("dy", {y_shape(a), DType::kF32});
  nodes.y = conv2d(g, "conv", {nodes.x, nodes.w, nodes.b, codes.sx, codes.sw}, a.stride, a.pad);
  Conv2dAttrs attrs{a.stride, a.pad, {}, a.h, a.w};
  attrs.gradients = gradients;
  nodes.dx = g.add_node("data", conv2d_backward_data_op(), attrs, {nodes.dy, nodes.w, codes.sw})[0];
  const auto back = g.add_node("weight", conv2d_backward_weight_op(), attrs, {nodes.x, nodes.dy, nodes.w, codes.sx});
  nodes.dw = back[0];
  nodes.db = back[1];
  return codes;
}

// Codes of [n, p] as the element type: equal to int64 values.
template <class T>
std::vector<T> code_values(Index count, int n, int p, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) v = static_cast<T>(n + static_cast<int>(random() % static_cast<unsigned>(p - n + 1)));
  return values;
}

template <class T>
std::vector<double> doubles(const T& values) {
  return {std::begin(values), std::end(values)};
}

// The strict epilogue from exact sums, each operation rounded to float.
inline std::vector<float> strict_epilogue(const std::vector<std::int64_t>& sums, float sx, const std::vector<float>& sw,
                                          const std::vector<float>& b) {
  std::vector<float> y;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t k = i % b.size();
    const volatile float scale = sx * sw[sw.size() == 1 ? 0 : k];  // volatile: no contraction, whatever the flags
    const volatile float product = static_cast<float>(sums[i]) * scale;
    y.push_back(product + b[k]);
  }
  return y;
}

}  // namespace gridstep::test
