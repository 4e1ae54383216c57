// SSIM (Wang et al. 2004) by its definition: a full 11 x 11 Gaussian window at every valid position, centred moments.
#pragma once

#include <cmath>
#include <functional>

#include "tests/reference/psnr_oracle.h"

namespace gridstep::test {

using Plane = std::function<double(const ImageOracle&, int row, int column)>;

inline double ssim_oracle(const ImageOracle& a, const ImageOracle& b, int crop, const Plane& plane) {
  double weight[11][11], total = 0.0;
  for (int i = 0; i < 11; ++i)
    for (int j = 0; j < 11; ++j) total += weight[i][j] = std::exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / 4.5);
  double sum = 0.0, count = 0.0;
  for (int row = crop; row + 11 <= a.height - crop; ++row) {
    for (int column = crop; column + 11 <= a.width - crop; ++column, ++count) {
      double m1 = 0.0, m2 = 0.0, s1 = 0.0, s2 = 0.0, s12 = 0.0;
      for (int i = 0; i < 121; ++i) {
        const double w = weight[i / 11][i % 11] / total;
        m1 += w * plane(a, row + i / 11, column + i % 11);
        m2 += w * plane(b, row + i / 11, column + i % 11);
      }
      for (int i = 0; i < 121; ++i) {
        const double w = weight[i / 11][i % 11] / total;
        const double d1 = plane(a, row + i / 11, column + i % 11) - m1,
                     d2 = plane(b, row + i / 11, column + i % 11) - m2;
        s1 += w * d1 * d1;
        s2 += w * d2 * d2;
        s12 += w * d1 * d2;
      }
      const double c1 = 2.55 * 2.55, c2 = 7.65 * 7.65;
      sum += (2 * m1 * m2 + c1) * (2 * s12 + c2) / ((m1 * m1 + m2 * m2 + c1) * (s1 + s2 + c2));
    }
  }
  return sum / count;
}

}  // namespace gridstep::test
