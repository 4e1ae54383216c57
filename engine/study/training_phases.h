// The phases that a configuration asks for: float epochs, then falling bits, then the bits that the network ends with;
// the last epochs with frozen statistics.
#pragma once

#include <string_view>
#include <vector>

#include "engine/study/config.h"
#include "engine/train/phase.h"

namespace gridstep {

// Whether anything of the network ends quantized.
bool quantizes(const Config& config);

// Bits for some epochs: one entry of quant.progressive.
struct BitPeriod {
  std::int64_t epochs;
  int weight_bits, activation_bits;
};

// "5:8,8; 5:4,4" is five epochs with 8 bits, then five with 4: EPOCHS:W,A between semicolons. Throws ConfigError that
// quotes the entry and says what is wrong with it.
std::vector<BitPeriod> parse_bit_periods(std::string_view text);

// In order, from epoch 0. The configuration must have passed check_combination.
std::vector<Phase> training_phases(const Config& config);

}  // namespace gridstep
