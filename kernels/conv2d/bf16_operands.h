// Operands of the gradients in bfloat16 (bf16_gradients.h), rounded and laid out so that 16-byte copies bring them.
#pragma once

#include <algorithm>

#include "engine/base/error.h"
#include "kernels/common/bfloat16.h"
#include "kernels/conv2d/gradient_phases.h"

namespace gridstep {

constexpr Index kBf16Group = 8;  // channels of 16 bytes
constexpr std::size_t kMostPhases = 4;

inline Index channel_groups(Index channels) { return (channels + kBf16Group - 1) / kBf16Group; }
inline Bytes bf16_pixels_bytes(Index pixels, Index channels) {
  return align_up(pixels * channel_groups(channels) * Bytes{16});
}
inline Bytes bf16_filter_bytes(const ConvGeometry& g) {
  return align_up(g.c * g.r * g.s * channel_groups(g.k) * Bytes{16});
}

// What the kernels count in 32 bits.
inline void check_bf16_counts(const ConvGeometry& g) {
  const Index largest = std::max({g.n * g.h * g.w * channel_groups(g.c), g.n * g.p * g.q * channel_groups(g.k),
                                  g.r * g.s * g.c * channel_groups(g.k)});
  constexpr Index kMost = (Index{1} << 31) - 4096;
  if (largest < kMost) return;
  fail<ConfigError>(
      "gradients in bfloat16 take less than {} groups of 8 channels per layer and network, not {}: "
      "lower train.batch, or leave train.backward out",
      kMost, largest);
}

// (.., C) f32, u8 or s8 -> (.., C8) bf16, zeros behind the C channels; floats times factor (1), or (C), where present.
struct Bf16Pixels {
  Tensor values, factor, rounded;
};
// w (K, R, S, C), f32 or s8 -> for each phase (C, its taps, last first, K8) bf16.
struct Bf16Filter {
  Tensor w, turned;
  ConvGeometry geometry;
};

// One launch, "operands".
void record_bf16_data_operands(Recorder& recorder, const Bf16Pixels& dy, const Bf16Filter& filter);
void record_bf16_weight_operands(Recorder& recorder, const Bf16Pixels& dy, const Bf16Pixels& x);

}  // namespace gridstep
