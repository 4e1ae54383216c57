// The head of a classifier in double precision, from the definitions: softmax cross-entropy with label smoothing
// (Szegedy et al., arXiv 1512.00567), ranks, average and largest values over windows.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gridstep::test {

struct CrossEntropyOracle {
  double loss = 0.0;
  double first = 0.0, five = 0.0;
  std::vector<double> gradient;
};

inline CrossEntropyOracle cross_entropy_oracle(const std::vector<float>& logits, const std::vector<int>& labels,
                                               double smoothing) {
  CrossEntropyOracle result;
  const std::size_t n = labels.size(), classes = logits.size() / n;
  for (std::size_t i = 0; i < n; ++i) {
    const float* x = logits.data() + i * classes;
    const auto label = static_cast<std::size_t>(labels[i]);
    double largest = x[0], partition = 0.0;
    for (std::size_t k = 0; k < classes; ++k) largest = std::fmax(largest, x[k]);
    for (std::size_t k = 0; k < classes; ++k) partition += std::exp(x[k] - largest);
    std::size_t rank = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const double probability = std::exp(x[k] - largest) / partition;
      const double target = (k == label ? 1.0 - smoothing : 0.0) + smoothing / static_cast<double>(classes);
      result.loss -= target * std::log(probability) / static_cast<double>(n);
      result.gradient.push_back((probability - target) / static_cast<double>(n));
      if (x[k] > x[label] || (x[k] == x[label] && k < label)) ++rank;
    }
    result.first += rank < 1 ? 1.0 : 0.0;
    result.five += rank < 5 ? 1.0 : 0.0;
  }
  return result;
}

struct ImageSize {
  int n, h, w, c;
};

inline std::vector<double> mean_oracle(const std::vector<float>& x, const ImageSize& s) {
  std::vector<double> means(static_cast<std::size_t>(s.n * s.c));
  for (int i = 0; i < s.n; ++i)
    for (int p = 0; p < s.h * s.w; ++p)
      for (int c = 0; c < s.c; ++c) {
        means[static_cast<std::size_t>(i * s.c + c)] +=
            static_cast<double>(x[static_cast<std::size_t>((i * s.h * s.w + p) * s.c + c)]) / (s.h * s.w);
      }
  return means;
}

struct MaxOracle {
  std::vector<double> y, dx;  // dx for a dy given per output
};

// The largest value of each window, and where a gradient of each goes: to the first largest of its window.
inline MaxOracle max_oracle(const std::vector<float>& x, const std::vector<float>& dy, const ImageSize& s, int window,
                            int stride, int pad) {
  MaxOracle result;
  result.dx.assign(x.size(), 0.0);
  const int rows = (s.h + 2 * pad - window) / stride + 1, columns = (s.w + 2 * pad - window) / stride + 1;
  for (int i = 0; i < s.n; ++i)
    for (int p = 0; p < rows; ++p)
      for (int q = 0; q < columns; ++q)
        for (int c = 0; c < s.c; ++c) {
          double largest = -INFINITY;
          std::size_t from = 0;
          for (int h = p * stride - pad; h < p * stride - pad + window; ++h)
            for (int w = q * stride - pad; w < q * stride - pad + window; ++w) {
              if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
              const auto at = static_cast<std::size_t>(((i * s.h + h) * s.w + w) * s.c + c);
              if (static_cast<double>(x[at]) > largest) {
                largest = x[at];
                from = at;
              }
            }
          if (!dy.empty()) result.dx[from] += static_cast<double>(dy[result.y.size()]);
          result.y.push_back(largest);
        }
  return result;
}

}  // namespace gridstep::test
