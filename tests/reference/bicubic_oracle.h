// Bicubic resampling as MATLAB's imresize defines it, straight from the definition: double precision, one output sample
// at a time, nothing shared with data/. Keys 1981 with a = -1/2; antialiased when reducing; 8-bit rounding after each
// pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace gridstep::test {

enum class OracleBorder { kMirror, kReplicate };

struct OraclePicture {
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> values;

  double at(int y, int x, int c, OracleBorder border) const {
    const auto inside = [border](int i, int n) {
      if (border == OracleBorder::kReplicate) return std::clamp(i, 0, n - 1);
      while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
      return i;
    };
    const int row = inside(y, height), column = inside(x, width);
    return values[static_cast<std::size_t>((row * width + column) * channels + c)];
  }
};

inline double keys_cubic(double x) {
  const double t = std::fabs(x);
  if (t <= 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
  if (t <= 2) return -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2;
  return 0;
}

// One axis of `ratio` output samples per input sample; `vertical` says which.
inline OraclePicture oracle_pass(const OraclePicture& in, double ratio, bool vertical, OracleBorder border) {
  OraclePicture out{in.height, in.width, in.channels, {}};
  (vertical ? out.height : out.width) = static_cast<int>(std::lround((vertical ? in.height : in.width) * ratio));
  const double stretch = std::min(ratio, 1.0);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const double centre = ((vertical ? y : x) + 1) / ratio + 0.5 * (1 - 1 / ratio) - 1;
      const int first = static_cast<int>(std::floor(centre - 2 / stretch)) - 1;
      const int last = static_cast<int>(std::ceil(centre + 2 / stretch)) + 1;
      for (int c = 0; c < in.channels; ++c) {
        double sum = 0, weights = 0;
        for (int i = first; i <= last; ++i) {
          const double weight = stretch * keys_cubic(stretch * (centre - i));
          sum += weight * (vertical ? in.at(i, x, c, border) : in.at(y, i, c, border));
          weights += weight;
        }
        // Sums are multiples of 1/(16 s^4), s <= 8: 1e-9 only repairs what double arithmetic did to an exact half.
        const double rounded = std::floor(sum / weights + 0.5 + 1e-9);
        out.values.push_back(static_cast<std::uint8_t>(std::clamp(rounded, 0.0, 255.0)));
      }
    }
  }
  return out;
}

inline OraclePicture oracle_resize(const OraclePicture& in, double ratio, OracleBorder border) {
  return oracle_pass(oracle_pass(in, ratio, true, border), ratio, false, border);
}

}  // namespace gridstep::test
