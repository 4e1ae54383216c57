// Convolution by its definition, in double loops; on codes in exact 64-bit integers.
//   y[n,i,j,k] = b[k] + sum_{r,s,c} x[n, i t + r - pad, j t + s - pad, c] w[k,r,s,c]      (t: stride; outside the
//   image: 0)
// Sums of absolute terms stand beside the values: the scale that the error of a float sum is measured by.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace gridstep::test {

struct ConvShape {
  std::int64_t n, h, w, c, k, r, s, stride, pad;

  std::int64_t p() const { return (h + 2 * pad - r) / stride + 1; }
  std::int64_t q() const { return (w + 2 * pad - s) / stride + 1; }
  std::int64_t x_size() const { return n * h * w * c; }
  std::int64_t w_size() const { return k * r * s * c; }
  std::int64_t y_size() const { return n * p() * q() * k; }
};

// Calls f(x index, w index, y index) for every product of the convolution.
template <class F>
void for_each_product(const ConvShape& a, F f) {
  for (std::int64_t n = 0; n < a.n; ++n)
    for (std::int64_t i = 0; i < a.p(); ++i)
      for (std::int64_t j = 0; j < a.q(); ++j)
        for (std::int64_t k = 0; k < a.k; ++k)
          for (std::int64_t r = 0; r < a.r; ++r)
            for (std::int64_t s = 0; s < a.s; ++s) {
              const std::int64_t row = i * a.stride + r - a.pad, column = j * a.stride + s - a.pad;
              if (row < 0 || row >= a.h || column < 0 || column >= a.w) continue;
              for (std::int64_t c = 0; c < a.c; ++c) {
                f(static_cast<std::size_t>(((n * a.h + row) * a.w + column) * a.c + c),
                  static_cast<std::size_t>(((k * a.r + r) * a.s + s) * a.c + c),
                  static_cast<std::size_t>(((n * a.p() + i) * a.q() + j) * a.k + k));
              }
            }
}

struct ConvSums {
  std::vector<double> values, magnitudes;

  explicit ConvSums(std::int64_t size)
      : values(static_cast<std::size_t>(size)), magnitudes(static_cast<std::size_t>(size)) {}
  void add(std::size_t at, double term) {
    values[at] += term;
    magnitudes[at] += std::fabs(term);
  }
};

inline ConvSums conv_forward(const ConvShape& a, const std::vector<double>& x, const std::vector<double>& w,
                             const std::vector<double>& b) {
  ConvSums y(a.y_size());
  for_each_product(a, [&](std::size_t xi, std::size_t wi, std::size_t yi) { y.add(yi, x[xi] * w[wi]); });
  for (std::size_t i = 0; i < y.values.size(); ++i) y.add(i, b[i % static_cast<std::size_t>(a.k)]);
  return y;
}

inline ConvSums conv_backward_data(const ConvShape& a, const std::vector<double>& dy, const std::vector<double>& w) {
  ConvSums dx(a.x_size());
  for_each_product(a, [&](std::size_t xi, std::size_t wi, std::size_t yi) { dx.add(xi, dy[yi] * w[wi]); });
  return dx;
}

inline ConvSums conv_backward_weight(const ConvShape& a, const std::vector<double>& x, const std::vector<double>& dy) {
  ConvSums dw(a.w_size());
  for_each_product(a, [&](std::size_t xi, std::size_t wi, std::size_t yi) { dw.add(wi, dy[yi] * x[xi]); });
  return dw;
}

inline ConvSums conv_backward_bias(const ConvShape& a, const std::vector<double>& dy) {
  ConvSums db(a.k);
  for (std::size_t i = 0; i < dy.size(); ++i) db.add(i % static_cast<std::size_t>(a.k), dy[i]);
  return db;
}

inline std::vector<std::int64_t> conv_codes(const ConvShape& a, const std::vector<std::int64_t>& x,
                                            const std::vector<std::int64_t>& w) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(a.y_size()));
  for_each_product(a, [&](std::size_t xi, std::size_t wi, std::size_t yi) { sums[yi] += x[xi] * w[wi]; });
  return sums;
}

}  // namespace gridstep::test
