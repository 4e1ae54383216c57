// Elementwise mathematics that gives the same bits on the host and on the device.
//
// Only + - * /, sqrtf, rintf, comparisons and bit casts are used, and the files that use this header are compiled
// without contraction (-ffp-contract=off, -fmad=false) and without fast-math. Ternaries instead of fminf/fmaxf: those
// drop NaN. Accuracy of exp, log and tanh: within 2 ulp over the ranges used (tests/engine/base/test_strict_math.cpp).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/base/hd.h"

namespace gridstep::strict {

GS_HD float bits_to_float(std::uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  float f;
  std::memcpy(&f, &u, sizeof f);
  return f;
#endif
}

GS_HD std::uint32_t float_to_bits(float f) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(f);
#else
  std::uint32_t u;
  std::memcpy(&u, &f, sizeof u);
  return u;
#endif
}

GS_HD float quiet_nan() { return bits_to_float(0x7fc00000u); }
GS_HD bool is_nan(float x) { return !(x == x); }
GS_HD bool is_finite(float x) { return (float_to_bits(x) & 0x7f800000u) != 0x7f800000u; }

// NaN stays NaN.
GS_HD float clamp(float v, float lo, float hi) { return v < lo ? lo : (v > hi ? hi : v); }

// Nearest integer, ties to even: the one rounding rule of the project. nearbyint is the form g++ vectorises.
GS_HD float round_even(float v) {
#if defined(__CUDA_ARCH__)
  return rintf(v);
#else
  return std::nearbyint(v);
#endif
}

GS_HD float abs(float v) { return v < 0.0f ? -v : (v == 0.0f ? 0.0f : v); }

// e^x by range reduction to |r| <= ln2/2 and a degree-6 polynomial. 0 below -87.3, +inf above 88.7.
GS_HD float exp(float x) {
  if (is_nan(x)) return x;
  if (x > 88.72283f) return bits_to_float(0x7f800000u);
  if (x < -87.33654f) return 0.0f;
  const float k = round_even(x * 1.44269504f);
  const float r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float e = (p * (r * r) + r) + 1.0f;
  const int half = static_cast<int>(k) / 2;  // two factors keep both powers of two in range
  const int rest = static_cast<int>(k) - half;
  return e * bits_to_float(static_cast<std::uint32_t>(half + 127) << 23) *
         bits_to_float(static_cast<std::uint32_t>(rest + 127) << 23);
}

// ln x for x > 0 (denormals included); -inf at 0, NaN below.
GS_HD float log(float x) {
  if (is_nan(x) || x < 0.0f) return quiet_nan();
  if (x == 0.0f) return bits_to_float(0xff800000u);
  if (!is_finite(x)) return x;
  float scale = 0.0f;
  if (x < 1.17549435e-38f) {
    x = x * 8388608.0f;
    scale = -23.0f;
  }
  const std::uint32_t u = float_to_bits(x);
  float e = static_cast<float>(static_cast<int>(u >> 23) - 126) + scale;
  float m = bits_to_float((u & 0x007fffffu) | 0x3f000000u);  // [0.5, 1)
  if (m < 0.707106781f) {
    e = e - 1.0f;
    m = m + m - 1.0f;
  } else {
    m = m - 1.0f;
  }
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float y = m * z * p;
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  return (m + y) + e * 0.693359375f;
}

// tanh x: odd polynomial for |x| < 0.625, else 1 - 2/(e^{2x} + 1). Branch-free selection, so that loops vectorise.
GS_HD float tanh(float x) {
  const float a = abs(x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = x + x * z * p;
  const float big = 1.0f - 2.0f / (exp(a > 10.0f ? 20.0f : a + a) + 1.0f);
  const float signed_big = x < 0.0f ? -big : big;
  return a < 0.625f ? small : (is_nan(x) ? x : signed_big);
}

}  // namespace gridstep::strict
