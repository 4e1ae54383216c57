// Labelled images in host memory, as image_batch wants them. The label is the image's index.
#pragma once

#include <vector>

#include "kernels/image_batch/image_batch.h"
#include "tests/support/bind.h"

namespace gridstep::test {

class ImageSet {
 public:
  ImageSet(std::uint32_t count, int side)
      : count_(count), side_(side), pixels_(byte_values(Index{count} * side * side * 3, 11)) {
    for (std::uint32_t i = 0; i < count; ++i) labels_.push_back(static_cast<std::int32_t>(i));
  }

  ImageTable table() const { return {pixels_.data(), labels_.data(), count_, side_}; }
  std::uint32_t count() const { return count_; }
  std::int32_t label(std::uint32_t image) const { return labels_[image]; }
  // 0 outside.
  std::uint8_t framed(std::uint32_t image, int row, int column, int channel) const {
    if (row < 0 || row >= side_ || column < 0 || column >= side_) return 0;
    return pixels_[((image * static_cast<std::size_t>(side_) + static_cast<std::size_t>(row)) *
                        static_cast<std::size_t>(side_) +
                    static_cast<std::size_t>(column)) *
                       3 +
                   static_cast<std::size_t>(channel)];
  }

 private:
  std::uint32_t count_;
  int side_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::int32_t> labels_;
};

}  // namespace gridstep::test
