// Errors of pixels, shared by both devices, and the final formula.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/base/hd.h"
#include "kernels/common/cropped_area.h"
#include "kernels/common/pixels.h"

namespace gridstep {

struct PixelError {
  double r, g, b;  // integers, or NaN

  GS_HD PixelError(const float* prediction, const std::uint8_t* target)
      : r(nearest_pixel(prediction[0]) - static_cast<float>(target[0])),
        g(nearest_pixel(prediction[1]) - static_cast<float>(target[1])),
        b(nearest_pixel(prediction[2]) - static_cast<float>(target[2])) {}

  GS_HD double squared_rgb() const { return r * r + g * g + b * b; }
  GS_HD double squared_luma() const {  // in units of 1/255000^2; below 2^53
    const double luma = kLumaR * r + kLumaG * g + kLumaB * b;
    return luma * luma;
  }
};

GS_HD double psnr_of(double mse) {
  const double decibels = 10.0 * log10(255.0 * 255.0 / mse);  // mse 0: infinite
  return decibels > 100.0 ? 100.0 : decibels;
}

GS_HD void finish_psnr(double sum_rgb, double sum_luma, const CroppedArea& rgb, const CroppedArea& y, double* out) {
  const double mse_rgb = sum_rgb / (3.0 * rgb.pixels());
  const double mse_y = sum_luma / (y.pixels() * (kLumaScale * kLumaScale));
  out[0] = psnr_of(mse_rgb);
  out[1] = psnr_of(mse_y);
  out[2] = mse_rgb;
  out[3] = mse_y;
}

}  // namespace gridstep
