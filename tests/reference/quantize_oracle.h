// Learned step size quantization in double precision, from the paper (Esser et al. 2020, arXiv 1902.08153, equations 1
// to 5):
//   t = v / s,  q = round(clamp(t, n, p)),  value = q s
//   dL/dv = G inside, 0 outside;  dL/ds = scale * sum G r,  r = q - t inside, n below, p above
// "Inside": strict n < t < p (the paper), inclusive n <= t <= p, rounded n <= round(t) <= p. Ties round to even.
//
// The contract of the library rounds the quotient t to float32 (one division); with `float_quotient` the oracle does
// the same, which makes codes, masks and input gradients exact. Without it nothing is rounded.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace gridstep::test {

enum class OracleMask { kStrict, kInclusive, kRounded };

struct QuantizeOracle {
  double n, p;
  OracleMask mask = OracleMask::kStrict;
  bool float_quotient = true;

  struct Backward {
    double pass;  // 1 inside, 0 outside
    double r;
  };

  double quotient(double v, double s) const { return float_quotient ? static_cast<float>(v / s) : v / s; }

  double code(double v, double s) const { return half_to_even(std::fmin(std::fmax(quotient(v, s), n), p)); }

  Backward backward(double v, double s) const {
    const double t = quotient(v, s);
    const double compared = mask == OracleMask::kRounded ? half_to_even(t) : t;
    const bool below = mask == OracleMask::kStrict ? compared <= n : compared < n;
    const bool above = mask == OracleMask::kStrict ? compared >= p : compared > p;
    if (below) return {0.0, n};
    if (above) return {0.0, p};
    return {1.0, half_to_even(std::fmin(std::fmax(t, n), p)) - t};
  }

  // Written out, so that it depends on no rounding mode.
  static double half_to_even(double t) {
    const double low = std::floor(t), part = t - low;
    if (part != 0.5) return part < 0.5 ? low : low + 1.0;
    return std::fmod(low, 2.0) == 0.0 ? low : low + 1.0;
  }
};

// Sum of G r over elements that share a step, and of |G r|: what a relative error is measured against where terms
// cancel.
struct StepGradientOracle {
  double sum = 0.0, magnitude = 0.0;
};

inline StepGradientOracle step_gradient(const QuantizeOracle& oracle, const std::vector<double>& v,
                                        const std::vector<double>& g, double s) {
  StepGradientOracle total;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double term = g[i] * oracle.backward(v[i], s).r;
    total.sum += term;
    total.magnitude += std::fabs(term);
  }
  return total;
}

}  // namespace gridstep::test
