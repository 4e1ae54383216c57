// Which tensors of a model are quantized, and how: what a model's builder needs to place quantizers.
#pragma once

#include <string>
#include <vector>

#include "engine/base/layer_rules.h"
#include "kernels/quantize/quantize_math.h"

namespace gridstep {

enum class WeightRange { kAuto, kFull, kNarrow, kTernary };
enum class GradientScale { kInvSqrtNp, kInvSqrtN, kNone };

constexpr int kFloatBits = 32;

struct QuantConfig {
  bool enabled = true;
  int weight_bits = 8;                            // 2..8, or kFloatBits
  int activation_bits = 8;                        // 2..8, or kFloatBits
  WeightRange weight_range = WeightRange::kAuto;  // auto: narrow at 8 bits, full below
  bool per_channel = true;                        // weights: one step per output channel
  int first_last_bits = 8;                        // of the first and last layer; 0: like the rest; kFloatBits: float
  bool output = false;                            // quantize the network's output as well (8 bits)
  StepForm form = StepForm::kLog;
  GradientMask mask = GradientMask::kStrict;
  GradientScale gradient_scale = GradientScale::kInvSqrtNp;
  bool codes = true;  // arithmetic on integer codes; false: plain fake-quantization, the reference

  std::vector<LayerRule> layers = {};  // the first that names a layer holds, before all of the above

  int layer_weight_bits(const std::string& layer, bool edge) const;
  int layer_activation_bits(const std::string& layer, bool edge) const;
  const LayerRule* rule_of(const std::string& layer) const;  // null: none names it
};

// Signed codes of a weight: full [-2^(b-1), 2^(b-1)-1], narrow without the lowest, ternary [-1, 1].
CodeRange weight_codes(int bits, WeightRange range);
// Unsigned [0, 2^b - 1] after a ReLU, signed full otherwise.
CodeRange activation_codes(int bits, bool is_unsigned);

// LSQ's factor on the step's gradient: 1/sqrt(N p), 1/sqrt(N), or 1.
float gradient_scale_factor(GradientScale kind, double n, int p);

}  // namespace gridstep
