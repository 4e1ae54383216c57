// PSNR of 8-bit images by its definition: RGB and BT.601 luma on the 0 ... 255 scale.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace gridstep::test {

struct ImageOracle {
  int height, width;
  std::vector<std::uint8_t> code;  // (height, width, 3)

  double rgb(int row, int column, int channel) const {
    return code[static_cast<std::size_t>((row * width + column) * 3 + channel)];
  }
  double luma(int row, int column) const {
    return 16.0 + (65.481 * rgb(row, column, 0) + 128.553 * rgb(row, column, 1) + 24.966 * rgb(row, column, 2)) / 255.0;
  }
};

inline double mse_rgb_oracle(const ImageOracle& a, const ImageOracle& b, int crop) {
  double sum = 0.0, count = 0.0;
  for (int row = crop; row < a.height - crop; ++row)
    for (int column = crop; column < a.width - crop; ++column)
      for (int channel = 0; channel < 3; ++channel, ++count)
        sum += std::pow(a.rgb(row, column, channel) - b.rgb(row, column, channel), 2);
  return sum / count;
}

inline double mse_y_oracle(const ImageOracle& a, const ImageOracle& b, int crop) {
  double sum = 0.0, count = 0.0;
  for (int row = crop; row < a.height - crop; ++row)
    for (int column = crop; column < a.width - crop; ++column, ++count)
      sum += std::pow(a.luma(row, column) - b.luma(row, column), 2);
  return sum / count;
}

inline double psnr_oracle(double mse) {
  return mse == 0.0 ? 100.0 : std::fmin(100.0, 20.0 * std::log10(255.0) - 10.0 * std::log10(mse));
}

// Nearest 8-bit code of a value clamped to [0, 1], ties to even.
inline std::uint8_t code_oracle(float value) {
  const float clamped = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
  return static_cast<std::uint8_t>(std::nearbyint(clamped * 255.0f));
}

}  // namespace gridstep::test
