// Pixels normalised by mean and standard deviation, in double precision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gridstep::test {

inline std::vector<double> normalize_oracle(const std::vector<std::uint8_t>& pixels, const double (&mean)[3],
                                            const double (&deviation)[3]) {
  std::vector<double> values;
  for (std::size_t i = 0; i < pixels.size(); ++i)
    values.push_back((pixels[i] / 255.0 - mean[i % 3]) / deviation[i % 3]);
  return values;
}

}  // namespace gridstep::test
