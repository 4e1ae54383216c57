// Random patches by the documented draw order, pixel by pixel, with 128-bit products and a linear search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/philox.h"

namespace gridstep::test {

struct PhotoOracle {
  int height, width;
  std::vector<std::uint8_t> lr, hr;
};

struct SampleOracle {
  std::size_t photo;
  int row, column, orientation;
};

inline SampleOracle sample_oracle(const std::vector<PhotoOracle>& photos, int patch, std::uint64_t seed,
                                  std::uint32_t epoch, std::uint64_t sample) {
  __extension__ using Wide = unsigned __int128;
  const Philox4 word = philox({seed, Purpose::kSample, epoch}, sample);
  const auto below = [](std::uint32_t hi, std::uint32_t lo, std::uint64_t n) {
    const std::uint64_t u = static_cast<std::uint64_t>(hi) << 32 | lo;
    return static_cast<std::uint64_t>(static_cast<Wide>(u) * n >> 64);
  };
  std::uint64_t total = 0;
  for (const PhotoOracle& p : photos)
    total += static_cast<std::uint64_t>(p.height) * static_cast<std::uint64_t>(p.width);
  std::uint64_t left = below(word.v[0], word.v[1], total);
  SampleOracle result{0, 0, 0, 0};
  for (;; ++result.photo) {
    const std::uint64_t area = static_cast<std::uint64_t>(photos[result.photo].height) *
                               static_cast<std::uint64_t>(photos[result.photo].width);
    if (left < area) break;
    left -= area;
  }
  const int rows = photos[result.photo].height - patch + 1, columns = photos[result.photo].width - patch + 1;
  const std::uint64_t choice = below(
      word.v[2], word.v[3], std::uint64_t{8} * static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns));
  result.orientation = static_cast<int>(choice % 8);
  result.row = static_cast<int>(choice / 8) / columns;
  result.column = static_cast<int>(choice / 8) % columns;
  return result;
}

// `size` pixels each way from the top left corner (row, column) of an image of the given width.
inline std::vector<std::uint8_t> patch_oracle(const std::vector<std::uint8_t>& image, int width, int row, int column,
                                              int size, int orientation) {
  std::vector<std::uint8_t> patch;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      int from_y = y, from_x = x;
      if (orientation & 4) std::swap(from_y, from_x);
      if (orientation & 2) from_y = size - 1 - from_y;
      if (orientation & 1) from_x = size - 1 - from_x;
      for (int c = 0; c < 3; ++c)
        patch.push_back(image[static_cast<std::size_t>(((row + from_y) * width + column + from_x) * 3 + c)]);
    }
  }
  return patch;
}

}  // namespace gridstep::test
