// Initial steps from data, in double and by their definitions.
//   lsq   s0 = 2 mean|v| / sqrt(p)                                     (Esser et al. 2020, section 2.1)
//   mse   of the 95 steps f s_full, f = 1.00, 0.99 ... 0.06, the first with the least sum of count (v - q(v) s)^2;
//         s_full is the smallest step that clips nothing
// A histogram replaces each value by the centre of its bin: 2048 bins from min(values, 0) to max(values, 0).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/quantize_oracle.h"

namespace gridstep::test {

struct ObserverOracle {
  double n, p;

  double lsq(const std::vector<double>& v) const {
    double sum = 0.0;
    for (const double x : v) sum += std::fabs(x);
    return 2.0 * sum / static_cast<double>(v.size()) / std::sqrt(p);
  }

  double error(const std::vector<double>& v, double s) const {
    const QuantizeOracle q{n, p, OracleMask::kStrict, false};
    double sum = 0.0;
    for (const double x : v) sum += (x - q.code(x, s) * s) * (x - q.code(x, s) * s);
    return sum;
  }

  double full(const std::vector<double>& v) const {
    const double low = std::min(0.0, *std::min_element(v.begin(), v.end())),
                 high = std::max(0.0, *std::max_element(v.begin(), v.end()));
    return n < 0.0 ? std::max(high / p, low / n) : high / p;
  }

  double mse(const std::vector<double>& v) const {
    double best = 0.0, least = HUGE_VAL;
    for (int i = 100; i >= 6; --i) {
      const double s = full(v) * (0.01 * i);
      const double e = error(v, s);
      if (e < least * (1.0 - 1e-12)) {
        least = e;
        best = s;
      }
    }
    return best;
  }

  static std::vector<double> binned(const std::vector<double>& v) {
    const double low = std::min(0.0, *std::min_element(v.begin(), v.end())),
                 high = std::max(0.0, *std::max_element(v.begin(), v.end()));
    const double width = (high - low) / 2048;
    std::vector<double> centres;
    for (const double x : v) centres.push_back(low + (std::min(2047.0, std::floor((x - low) / width)) + 0.5) * width);
    return centres;
  }
};

}  // namespace gridstep::test
