// The part of an image that a quality metric looks at: `crop` pixels are left out at each side. And the weights of
// luma.
#pragma once

#include <string_view>

#include "engine/base/error.h"
#include "engine/base/hd.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

struct CroppedArea {
  Index height, width, crop;

  GS_HD bool has_row(Index row) const { return row >= crop && row < height - crop; }
  GS_HD Index rows() const { return height - 2 * crop; }
  GS_HD Index columns() const { return width - 2 * crop; }
  GS_HD double pixels() const { return static_cast<double>(rows() * columns()); }
};

// Throws ConfigError unless at least `least` pixels are left each way. `image`: (1, H, W, 3).
inline void check_crop(const Shape& image, int crop, Index least, std::string_view what) {
  if (crop < 0) fail<ConfigError>("{} must not be negative, got {}", what, crop);
  const Index left_out = Index{2} * crop;
  if (image[1] - left_out < least || image[2] - left_out < least) {
    fail<ConfigError>("{} {} leaves less than {} pixels each way of an image of {} x {}", what, crop, least, image[2],
                      image[1]);
  }
}

// ITU-R BT.601: Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255 of codes 0 ... 255. Scaled to integers, sums of codes
// are exact.
constexpr double kLumaR = 65481.0, kLumaG = 128553.0, kLumaB = 24966.0, kLumaScale = 255000.0;

}  // namespace gridstep
