// What the two drivers of batch normalisation share: terms, the order of sums, and what follows from them.
//
// A channel's sum over M pixels: block b adds the pixels 64 b, 64 b + 1, ... in order; lane l of 32 adds the sums of
// the blocks l, l + 32, ... in order; then, five times, the upper half of the lanes is added to the lower.
#pragma once

#include <cmath>

#include "engine/base/hd.h"
#include "engine/base/strict_math.h"
#include "engine/tensor/tensor.h"
#include "kernels/common/lane_sum.h"
#include "kernels/quantize/quantizers/lsq.h"

namespace gridstep {

constexpr Index kNormBlock = 64;  // pixels

GS_HD constexpr Index norm_blocks(Index pixels) { return (pixels + kNormBlock - 1) / kNormBlock; }

// Two sums of one channel: of x and x^2, or of dy and dy xhat.
struct NormSums {
  double first = 0.0, second = 0.0;

  GS_HD NormSums& operator+=(const NormSums& other) {
    first += other.first;
    second += other.second;
    return *this;
  }
  GS_HD void add_value(float x) {
    first += static_cast<double>(x);
    second += static_cast<double>(x) * static_cast<double>(x);
  }
  GS_HD void add_gradient(float dy, float xhat) {
    first += static_cast<double>(dy);
    second += static_cast<double>(dy) * static_cast<double>(xhat);
  }
};

GS_HD float normalised(float x, float mean, float inv_std) { return (x - mean) * inv_std; }
GS_HD float inverse_deviation(double variance, float eps) {
  return static_cast<float>(1.0 / sqrt(variance + static_cast<double>(eps)));
}

// The statistics of a batch, and the running ones moved towards them.
GS_HD void finish_statistics(const NormSums& sums, double pixels, float eps, float momentum, float& mean,
                             float& inv_std, float& running_mean, float& running_var) {
  const double average = sums.first / pixels;
  const double square = sums.second / pixels - average * average;
  const double variance = square > 0.0 || square != square ? square : 0.0;
  const double unbiased = pixels > 1.0 ? variance * (pixels / (pixels - 1.0)) : variance;
  mean = static_cast<float>(average);
  inv_std = inverse_deviation(variance, eps);
  running_mean = running_mean + momentum * (mean - running_mean);
  running_var = running_var + momentum * (static_cast<float>(unbiased) - running_var);
}

// y = (x - mean) factor + beta.
struct NormApply {
  float mean, factor, beta;
  GS_HD float operator()(float x) const { return (x - mean) * factor + beta; }
};

// What a fused ReLU leaves of a value; NaN stays NaN. `zero`: 0, or NaN where there is no ReLU: no comparison holds
// then, and loops need no branch.
GS_HD float relu_zero(bool relu) { return relu ? 0.0f : strict::quiet_nan(); }
GS_HD float norm_relu(float v, float zero) { return v < zero ? zero : v; }

// Back through quantizer and ReLU. a: the value that was quantized; g: the gradient by its code's real value; dy: by
// the value itself from other readers. Returns the gradient by the value before the ReLU; `r`: the element's weight in
// the step's gradient.
template <bool kQuantized, GradientMask M>
GS_HD float norm_tail_gradient(float a, float dy, float g, float zero, float s, float n, float p, float& r) {
  float d = dy;
  if constexpr (kQuantized) d += g * Lsq::backward<M>(a, s, n, p, r);
  return a <= zero ? 0.0f : d;
}

// dx = factor (dy - mean_dy - xhat mean_product); the means are 0 where statistics are frozen.
struct NormGradient {
  float mean, inv_std, factor, mean_dy, mean_product;
  GS_HD float operator()(float x, float dy) const {
    return factor * ((dy - mean_dy) - normalised(x, mean, inv_std) * mean_product);
  }
};

GS_HD NormGradient norm_gradient(float mean, float inv_std, float gamma, float dbeta_mean, float dgamma_mean) {
  return {mean, inv_std, gamma * inv_std, dbeta_mean, dgamma_mean};
}

}  // namespace gridstep
