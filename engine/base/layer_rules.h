// Bits of single layers: an ordered list of wildcard rules.
//   "layer4.*=4,4; layer?.0.downsample.*=8,8; fc=float"
// A rule is PATTERN=W,A (bits of weights and of input activations, 2 to 8, or 32 for floats) or PATTERN=float. `*`
// stands for any characters, dots included, `?` for one. The first rule whose pattern is the name of the layer holds,
// before everything else that decides its bits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gridstep {

struct LayerRule {
  std::string pattern;
  int weight_bits, activation_bits;
};

// Throws ConfigError that quotes the rule and says what is wrong with it. Empty text: no rules.
std::vector<LayerRule> parse_layer_rules(std::string_view text);

bool rule_matches(const LayerRule& rule, const std::string& layer);

}  // namespace gridstep
