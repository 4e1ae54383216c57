// Image losses in double precision, from their definitions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gridstep::test {

struct LossOracle {
  double loss = 0.0;
  std::vector<double> gradient;
};

inline LossOracle loss_oracle(const std::string& kind, const std::vector<float>& prediction,
                              const std::vector<std::uint8_t>& target) {
  LossOracle result;
  const double count = static_cast<double>(prediction.size());
  for (std::size_t i = 0; i < prediction.size(); ++i) {
    const double d = static_cast<double>(prediction[i]) - target[i] / 255.0;
    const double root = std::sqrt(d * d + 1e-6);
    const double sign = d > 0.0 ? 1.0 : d < 0.0 ? -1.0 : 0.0;
    result.loss += (kind == "mse" ? d * d : kind == "l1" ? std::fabs(d) : root) / count;
    result.gradient.push_back((kind == "mse" ? 2.0 * d : kind == "l1" ? sign : d / root) / count);
  }
  return result;
}

}  // namespace gridstep::test
