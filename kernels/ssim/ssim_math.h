// What the two drivers of SSIM share: planes, window and the formula of one position.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/base/hd.h"
#include "kernels/common/cropped_area.h"

namespace gridstep {

constexpr int kSsimTaps = 11;
constexpr int kSsimPlanes = 4;   // R, G, B, Y
constexpr int kSsimMoments = 5;  // E of a, b, a^2, b^2, ab

struct SsimWindow {
  double weight[kSsimTaps];
};

inline SsimWindow make_ssim_window() {
  SsimWindow window{};
  double sum = 0.0;
  constexpr int kMiddle = kSsimTaps / 2;
  for (int i = 0; i < kSsimTaps; ++i) {
    const double x = i - kMiddle;
    window.weight[i] = std::exp(-x * x / (2.0 * 1.5 * 1.5));
    sum += window.weight[i];
  }
  for (double& w : window.weight) w /= sum;
  return window;
}

// Value of a plane at a pixel (three codes).
GS_HD double ssim_plane(const std::uint8_t* pixel, int plane) {
  if (plane < 3) return static_cast<double>(pixel[plane]);
  const double r = static_cast<double>(pixel[0]), g = static_cast<double>(pixel[1]), b = static_cast<double>(pixel[2]);
  return 16.0 + (kLumaR * r + kLumaG * g + kLumaB * b) * (1.0 / kLumaScale);
}

struct SsimMoments {
  double v[kSsimMoments];
};

GS_HD double ssim_at(const SsimMoments& moments) {
  constexpr double c1 = (0.01 * 255.0) * (0.01 * 255.0), c2 = (0.03 * 255.0) * (0.03 * 255.0);
  const double m1 = moments.v[0], m2 = moments.v[1];
  const double s1 = moments.v[2] - m1 * m1, s2 = moments.v[3] - m2 * m2, s12 = moments.v[4] - m1 * m2;
  return ((2.0 * m1 * m2 + c1) * (2.0 * s12 + c2)) / ((m1 * m1 + m2 * m2 + c1) * (s1 + s2 + c2));
}

// The areas of window positions: rows and columns at which a window begins.
struct SsimAreas {
  CroppedArea rgb, y;

  GS_HD const CroppedArea& of(int plane) const { return plane < 3 ? rgb : y; }
  GS_HD static Index positions(Index pixels) { return pixels - (kSsimTaps - 1); }
  // (row, column) position counts of a plane
  GS_HD Index rows(int plane) const { return positions(of(plane).rows()); }
  GS_HD Index columns(int plane) const { return positions(of(plane).columns()); }
};

// `sums`: one per plane, in order.
GS_HD void finish_ssim(const double* sums, const SsimAreas& areas, double* out) {
  out[0] = (sums[0] + sums[1] + sums[2]) / (3.0 * static_cast<double>(areas.rows(0) * areas.columns(0)));
  out[1] = sums[3] / static_cast<double>(areas.rows(3) * areas.columns(3));
}

}  // namespace gridstep
