// A convolution's filters and bias with the normalisation behind it worked in, in long double, from
//   (w * x + b - mean) / sqrt(var + eps) gamma + beta  =  (w gamma / sqrt(var + eps)) * x + ...
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace gridstep::test {

struct FoldCase {
  std::vector<float> w, gamma, beta, mean, var, bias;  // w: one, or equally many per channel; bias may be empty
  double eps = static_cast<double>(1e-5f);
};

struct FoldOracle {
  std::vector<double> scaled, bias;
};

inline FoldOracle fold_norm_oracle(const FoldCase& c) {
  FoldOracle o;
  const std::size_t channels = c.gamma.size(), row = c.w.size() == 1 ? 1 : c.w.size() / channels;
  for (std::size_t k = 0; k < channels; ++k) {
    const long double deviation = std::sqrt(static_cast<long double>(c.var[k]) + static_cast<long double>(c.eps));
    const long double gain = static_cast<long double>(c.gamma[k]) / deviation;
    const long double before = c.bias.empty() ? 0.0L : static_cast<long double>(c.bias[k]);
    for (std::size_t i = 0; i < row; ++i) {
      const float w = c.w[c.w.size() == 1 ? 0 : k * row + i];
      o.scaled.push_back(static_cast<double>(static_cast<long double>(w) * gain));
    }
    const long double shift = (before - static_cast<long double>(c.mean[k])) * gain;
    o.bias.push_back(static_cast<double>(static_cast<long double>(c.beta[k]) + shift));
  }
  return o;
}

}  // namespace gridstep::test
