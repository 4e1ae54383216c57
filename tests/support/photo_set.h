// A small set of random photos as the device-resident table of patch_batch, and as the oracle's list.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/patch_batch/patch_batch.h"
#include "tests/reference/patch_batch_oracle.h"
#include "tests/support/bind.h"

namespace gridstep::test {

struct PhotoSize {
  int height, width;
};

class PhotoSet {
 public:
  PhotoSet(const std::vector<PhotoSize>& sizes, int scale) {
    unsigned seed = 1;
    for (const auto [height, width] : sizes) {
      const Index area = Index{height} * width;
      photos_.push_back(
          {height, width, byte_values(area * 3, seed), byte_values(area * 3 * scale * scale, seed + 100)});
      ++seed;
      entries_.push_back({append(photos_.back().lr), append(photos_.back().hr), height, width});
      areas_.push_back((areas_.empty() ? 0 : areas_.back()) + static_cast<std::uint64_t>(area));
    }
  }

  PhotoTable table() const {
    return {pixels_.data(), entries_.data(), areas_.data(), areas_.back(), static_cast<std::int32_t>(entries_.size())};
  }
  const std::vector<PhotoOracle>& photos() const { return photos_; }

 private:
  std::uint64_t append(const std::vector<std::uint8_t>& image) {
    pixels_.resize((pixels_.size() + 63) / 64 * 64);
    const std::uint64_t offset = pixels_.size();
    pixels_.insert(pixels_.end(), image.begin(), image.end());
    return offset;
  }

  std::vector<PhotoOracle> photos_;
  std::vector<std::uint8_t> pixels_;
  std::vector<PhotoEntry> entries_;
  std::vector<std::uint64_t> areas_;
};

}  // namespace gridstep::test
