// Pictures in memory: 8 bits per sample, rows from top to bottom, channels interleaved (H, W, C), no padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gridstep {

// A picture owned by somebody else (an Image, a mapped pack).
struct ImageView {
  int height = 0;
  int width = 0;
  int channels = 0;
  const std::uint8_t* pixels = nullptr;  // (height, width, channels)

  std::size_t row_bytes() const { return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels); }
  std::size_t size_bytes() const { return row_bytes() * static_cast<std::size_t>(height); }
  const std::uint8_t* row(int y) const { return pixels + static_cast<std::size_t>(y) * row_bytes(); }
  const std::uint8_t* pixel(int y, int x) const {
    return row(y) + static_cast<std::size_t>(x) * static_cast<std::size_t>(channels);
  }
  std::span<const std::uint8_t> bytes() const { return {pixels, size_bytes()}; }
};

struct Image {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<std::uint8_t> pixels;  // (height, width, channels)

  Image() = default;
  // All samples 0. Sides and channels must not be negative.
  Image(int image_height, int image_width, int image_channels)
      : height(image_height), width(image_width), channels(image_channels), pixels(view().size_bytes()) {}

  ImageView view() const { return {height, width, channels, pixels.data()}; }
  operator ImageView() const {
    return view();
  }  // NOLINT(google-explicit-constructor): a view of an lvalue costs nothing
  std::uint8_t* row(int y) { return pixels.data() + static_cast<std::size_t>(y) * view().row_bytes(); }
  std::uint8_t* pixel(int y, int x) {
    return row(y) + static_cast<std::size_t>(x) * static_cast<std::size_t>(channels);
  }
  bool operator==(const Image&) const = default;
};

}  // namespace gridstep
