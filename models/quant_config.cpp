#include "models/quant_config.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"

namespace gridstep {
namespace {

int edge_or(int bits, int edge_bits, bool edge) {
  if (!edge || edge_bits == 0 || bits == kFloatBits) return bits;
  return edge_bits;
}

}  // namespace

const LayerRule* QuantConfig::rule_of(const std::string& layer) const {
  const auto it =
      std::find_if(layers.begin(), layers.end(), [&](const LayerRule& r) { return rule_matches(r, layer); });
  return it == layers.end() ? nullptr : &*it;
}

int QuantConfig::layer_weight_bits(const std::string& layer, bool edge) const {
  if (!enabled) return kFloatBits;
  const LayerRule* rule = rule_of(layer);
  return rule != nullptr ? rule->weight_bits : edge_or(weight_bits, first_last_bits, edge);
}
int QuantConfig::layer_activation_bits(const std::string& layer, bool edge) const {
  if (!enabled) return kFloatBits;
  const LayerRule* rule = rule_of(layer);
  return rule != nullptr ? rule->activation_bits : edge_or(activation_bits, first_last_bits, edge);
}

CodeRange weight_codes(int bits, WeightRange range) {
  if (range == WeightRange::kTernary && bits == 2) return {-1, 1};
  const int p = (1 << (bits - 1)) - 1;
  const bool narrow = range == WeightRange::kNarrow || (range != WeightRange::kFull && bits == 8);
  return {narrow ? -p : -p - 1, p};
}

CodeRange activation_codes(int bits, bool is_unsigned) {
  return is_unsigned ? CodeRange{0, (1 << bits) - 1} : CodeRange{-(1 << (bits - 1)), (1 << (bits - 1)) - 1};
}

float gradient_scale_factor(GradientScale kind, double n, int p) {
  switch (kind) {
    case GradientScale::kInvSqrtNp:
      return static_cast<float>(1.0 / std::sqrt(n * p));
    case GradientScale::kInvSqrtN:
      return static_cast<float>(1.0 / std::sqrt(n));
    case GradientScale::kNone:
      return 1.0f;
  }
  return 1.0f;
}

}  // namespace gridstep
