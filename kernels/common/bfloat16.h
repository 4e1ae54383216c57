// bfloat16 on the CPU: the upper half of a float32. Rounded to nearest, ties to even, as the processor's own conversion
// does, except that subnormal numbers are kept here; NaN stays NaN. Loops that the compiler turns into vectors.
#pragma once

#include <bit>
#include <cstdint>

#include "engine/tensor/tensor.h"

namespace gridstep {

struct Bf16 {
  std::uint16_t bits;
};

inline Bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const bool is_nan = static_cast<std::int32_t>(bits & 0x7fffffffu) > 0x7f800000;
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>((is_nan ? bits | 0x00400000u : rounded) >> 16)};
}

inline float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

// Floats are rounded, codes of eight bits are exact.
template <class T>
void convert(const T* x, Index n, Bf16* out) {
  for (Index i = 0; i < n; ++i) out[i] = to_bf16(static_cast<float>(x[i]));
}

// bf16(x[i] * factors[i mod period]): the product is rounded to float32 first. Fast for periods of 100 and more.
inline void convert_scaled(const float* x, Index n, const float* factors, Index period, Bf16* out) {
  for (Index at = 0; at < n; at += period) {
    const Index end = n - at < period ? n - at : period;
    for (Index i = 0; i < end; ++i) out[at + i] = to_bf16(x[at + i] * factors[i]);
  }
}

}  // namespace gridstep
