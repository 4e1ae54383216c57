// Batch normalisation in double precision, from the definition (Ioffe & Szegedy, arXiv 1502.03167): two passes over the
// data, and the gradient by the chain rule through mean and variance.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace gridstep::test {

struct NormCase {
  std::vector<float> x, gamma, beta, running_mean, running_var;
  double eps = 1e-5, momentum = 0.1;
  bool frozen = false;
};

struct NormOracle {
  std::vector<double> y, mean, variance, running_mean, running_var;
  std::vector<double> dx, dgamma, dbeta;  // for a dy given
};

inline NormOracle batch_norm_oracle(const NormCase& c, const std::vector<float>& dy) {
  const std::size_t channels = c.gamma.size(), pixels = c.x.size() / channels;
  const auto count = static_cast<double>(pixels);
  NormOracle o;
  o.y.resize(c.x.size());
  o.dx.resize(c.x.size());
  for (std::size_t k = 0; k < channels; ++k) {
    const auto at = [&](std::size_t p) { return p * channels + k; };
    double mean = c.running_mean[k], variance = c.running_var[k];
    if (!c.frozen) {
      mean = variance = 0.0;
      for (std::size_t p = 0; p < pixels; ++p) mean += static_cast<double>(c.x[at(p)]) / count;
      for (std::size_t p = 0; p < pixels; ++p) variance += std::pow(static_cast<double>(c.x[at(p)]) - mean, 2) / count;
    }
    const double deviation = std::sqrt(variance + c.eps), gamma = c.gamma[k];
    double dgamma = 0.0, dbeta = 0.0;
    for (std::size_t p = 0; p < pixels; ++p) {
      const double xhat = (static_cast<double>(c.x[at(p)]) - mean) / deviation;
      o.y[at(p)] = xhat * gamma + static_cast<double>(c.beta[k]);
      dgamma += static_cast<double>(dy[at(p)]) * xhat;
      dbeta += static_cast<double>(dy[at(p)]);
    }
    // d xhat_q / d x_p = ([p = q] - 1/M - xhat_p xhat_q / M) / deviation
    for (std::size_t p = 0; p < pixels; ++p) {
      const double xhat = (static_cast<double>(c.x[at(p)]) - mean) / deviation;
      const double through = c.frozen ? 0.0 : (dbeta + xhat * dgamma) / count;
      o.dx[at(p)] = gamma / deviation * (static_cast<double>(dy[at(p)]) - through);
    }
    const double unbiased = pixels > 1 ? variance * count / (count - 1.0) : variance;
    const double m = c.frozen ? 0.0 : c.momentum;
    o.mean.push_back(mean);
    o.variance.push_back(variance);
    o.running_mean.push_back((1.0 - m) * static_cast<double>(c.running_mean[k]) + m * mean);
    o.running_var.push_back((1.0 - m) * static_cast<double>(c.running_var[k]) + m * unbiased);
    o.dgamma.push_back(dgamma);
    o.dbeta.push_back(dbeta);
  }
  return o;
}

}  // namespace gridstep::test
