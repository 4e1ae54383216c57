#include "engine/base/layer_rules.h"

#include <fnmatch.h>

#include <charconv>

#include "engine/base/error.h"

namespace gridstep {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\n"), last = text.find_last_not_of(" \t\n");
  return first == text.npos ? std::string_view{} : text.substr(first, last - first + 1);
}

[[noreturn]] void refuse(std::string_view rule, std::string_view why) {
  fail<ConfigError>("quant.layers: '{}' {}; rules are PATTERN=W,A or PATTERN=float, between semicolons", rule, why);
}

int parse_bits(std::string_view text, std::string_view rule) {
  text = trimmed(text);
  int bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || !((bits >= 2 && bits <= 8) || bits == 32)) refuse(rule, "wants bits of 2 to 8, or 32 for floats");
  return bits;
}

LayerRule parse_rule(std::string_view rule) {
  const std::size_t equals = rule.find('=');
  if (equals == rule.npos) refuse(rule, "has no =");
  const std::string_view pattern = trimmed(rule.substr(0, equals)), bits = trimmed(rule.substr(equals + 1));
  if (pattern.empty()) refuse(rule, "names no layer");
  if (bits == "float") return {std::string(pattern), 32, 32};
  const std::size_t comma = bits.find(',');
  if (comma == bits.npos) refuse(rule, "wants bits of weights and of activations");
  return {std::string(pattern), parse_bits(bits.substr(0, comma), rule), parse_bits(bits.substr(comma + 1), rule)};
}

}  // namespace

std::vector<LayerRule> parse_layer_rules(std::string_view text) {
  std::vector<LayerRule> rules;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view rule = trimmed(text.substr(0, end));
    if (!rule.empty()) rules.push_back(parse_rule(rule));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return rules;
}

bool rule_matches(const LayerRule& rule, const std::string& layer) {
  return fnmatch(rule.pattern.c_str(), layer.c_str(), 0) == 0;
}

}  // namespace gridstep
