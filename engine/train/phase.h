// Phases of a training: stretches of epochs whose networks one program computes. A float warm-up, quantizers of falling
// bits, frozen statistics.
#pragma once

#include <cstdint>

namespace gridstep {

struct Phase {
  std::int64_t first_epoch = 0;
  bool quantized = false;
  int weight_bits = 0, activation_bits = 0;  // where quantized: of the layers that no rule concerns
  bool frozen_norm = false;                  // normalisation by the running statistics, which rest

  bool same_bits(const Phase& other) const {
    return quantized == other.quantized && weight_bits == other.weight_bits && activation_bits == other.activation_bits;
  }
};

}  // namespace gridstep
