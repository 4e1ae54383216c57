// bfloat16: the upper half of a float32. Rounded to nearest, ties to even, as the processor's own conversion
// does, except that subnormal numbers are kept here; NaN stays NaN. Loops that the compiler turns into vectors.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "engine/base/strict_math.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

struct Bf16 {
  std::uint16_t bits;
};

GS_HD Bf16 to_bf16(float x) {
  const std::uint32_t bits = strict::float_to_bits(x);
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const std::uint32_t nan = x != x ? 0x7fff0000u : 0u;  // which rounding may have carried away
  return {static_cast<std::uint16_t>((rounded | nan) >> 16)};
}

inline float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

inline void convert(const float* x, Index n, Bf16* out) {
  for (Index i = 0; i < n; ++i) out[i] = to_bf16(x[i]);
}

// Codes of eight bits are exact: nothing is cut off but zeros.
template <class T>
void convert(const T* codes, Index n, Bf16* out) {
  static_assert(std::is_integral_v<T> && sizeof(T) == 1);
  for (Index i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(codes[i]));
    out[i] = {static_cast<std::uint16_t>(bits >> 16)};
  }
}

// bf16(x[i] * factors[i mod period]): the product is rounded to float32 first. Fast for periods of 100 and more.
inline void convert_scaled(const float* x, Index n, const float* factors, Index period, Bf16* out) {
  for (Index at = 0; at < n; at += period) {
    const Index end = n - at < period ? n - at : period;
    for (Index i = 0; i < end; ++i) out[at + i] = to_bf16(x[at + i] * factors[i]);
  }
}

}  // namespace gridstep
