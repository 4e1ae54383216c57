#include "engine/base/normalization.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

constexpr std::pair<std::string_view, Normalization> kKnown[] = {
    {"none", {}},
    {"imagenet", {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}},
    {"cifar10", {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}},
};

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  fail<ConfigError>("data.normalize: '{}' {}", text, why);
}

// The bounds keep what the formula gives finite, and tell codes of 0 to 255 from values of 0 to 1.
void parse_colours(std::string_view text, const std::string& part, float low, float to[3]) {
  const std::vector<std::string> colours = split(part, ',');
  if (colours.size() != 3) refuse(text, fmt::format("has {} values where three colours are wanted", colours.size()));
  for (std::size_t c = 0; c < 3; ++c) {
    const std::string& word = colours[c];
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), to[c]);
    const bool whole = error == std::errc{} && end == word.data() + word.size();
    if (!whole || !(to[c] >= low && to[c] <= 1.0f))
      refuse(text, fmt::format("has '{}', where a number of {} to 1 is wanted: pixels count from 0 to 1", word, low));
  }
}

}  // namespace

Normalization parse_normalization(std::string_view text) {
  std::vector<std::string> names;
  for (const auto& [name, values] : kKnown) {
    if (name == text) return values;
    names.emplace_back(name);
  }
  const std::vector<std::string> parts = split(text, '/');
  if (parts.size() != 2) {
    refuse(text, fmt::format("is neither one of {} nor means and deviations as in 0.5,0.5,0.5/0.25,0.25,0.25{}",
                             join(names), did_you_mean(text, names)));
  }
  Normalization result;
  parse_colours(text, parts[0], 0.0f, result.mean);
  parse_colours(text, parts[1], 0.001f, result.deviation);
  return result;
}

}  // namespace gridstep
