#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr int kBits = 22;  // 255 times the sum of the weights stays within 32 bits
constexpr std::int32_t kHalf = 1 << (kBits - 1);

struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

Taps taps_at(int out, double scale, int in_size) {
  const double stretch = std::max(scale, 1.0);
  const double centre = (out + 0.5) * scale;
  // Pillow's own rounding, here and below: its bytes are wanted.
  // NOLINTBEGIN(bugprone-incorrect-roundings)
  const int first = std::max(0, static_cast<int>(centre - stretch + 0.5));
  const int last = std::min(in_size, static_cast<int>(centre + stretch + 0.5));
  std::vector<double> exact;
  double sum = 0.0;
  for (int i = first; i < last; ++i) {
    exact.push_back(std::max(0.0, 1.0 - std::abs((i - centre + 0.5) / stretch)));
    sum += exact.back();
  }
  Taps taps{first, {}};
  for (const double w : exact) taps.weights.push_back(static_cast<std::int32_t>(0.5 + w / sum * (1 << kBits)));
  // NOLINTEND(bugprone-incorrect-roundings)
  return taps;
}

std::vector<Taps> taps_of(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  std::vector<Taps> taps;
  taps.reserve(static_cast<std::size_t>(out_size));
  for (int out = 0; out < out_size; ++out) taps.push_back(taps_at(out, scale, in_size));
  return taps;
}

std::uint8_t rounded(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

Image horizontal_pass(ImageView in, int width) {
  const std::vector<Taps> taps = taps_of(in.width, width);
  Image out(in.height, width, in.channels);
  for (int y = 0; y < in.height; ++y) {
    std::uint8_t* to = out.row(y);
    for (const Taps& t : taps) {
      for (int c = 0; c < in.channels; ++c) {
        const std::uint8_t* from = in.row(y) + static_cast<std::ptrdiff_t>(t.first) * in.channels + c;
        std::int32_t sum = kHalf;
        for (const std::int32_t w : t.weights) {
          sum += w * *from;
          from += in.channels;
        }
        *to++ = rounded(sum);
      }
    }
  }
  return out;
}

Image vertical_pass(ImageView in, int height) {
  const std::vector<Taps> taps = taps_of(in.height, height);
  Image out(height, in.width, in.channels);
  std::vector<std::int32_t> sums(in.row_bytes());
  for (int y = 0; y < height; ++y) {
    const Taps& t = taps[static_cast<std::size_t>(y)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (std::size_t k = 0; k < t.weights.size(); ++k) {
      const std::uint8_t* from = in.row(t.first + static_cast<int>(k));
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += t.weights[k] * from[i];
    }
    std::transform(sums.begin(), sums.end(), out.row(y), rounded);
  }
  return out;
}

Image crop_middle(ImageView in, int side) {
  Image out(side, side, in.channels);
  const int top = (in.height - side) / 2, left = (in.width - side) / 2;
  for (int y = 0; y < side; ++y)
    std::memcpy(out.row(y), in.row(top + y) + static_cast<std::ptrdiff_t>(left) * in.channels, out.view().row_bytes());
  return out;
}

}  // namespace

Image resize_bilinear(ImageView image, int height, int width) {
  GS_CHECK(image.height > 0 && image.width > 0 && height > 0 && width > 0, "pictures without pixels have no size");
  return vertical_pass(horizontal_pass(image, width), height);
}

Image resize_to_square(ImageView image, int side) {
  const auto longer = [&](int a, int b) { return static_cast<int>(std::int64_t{a} * side / b); };
  const int height = image.height <= image.width ? side : longer(image.height, image.width);
  const int width = image.width <= image.height ? side : longer(image.width, image.height);
  return crop_middle(resize_bilinear(image, height, width), side);
}

}  // namespace gridstep
