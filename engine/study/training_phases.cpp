#include "engine/study/training_phases.h"

#include <charconv>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

constexpr std::int64_t kFloat = 32;  // bits

// False for what is no number, or none that an int holds.
bool parse_whole(std::string_view text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

BitPeriod parse_period(const std::string& entry) {
  const auto parts = split(entry, ':');
  const auto bits = parts.size() == 2 ? split(parts[1], ',') : std::vector<std::string>{};
  const auto in_range = [](int n) { return n >= 2 && n <= 8; };
  int epochs = 0, w = 0, a = 0;
  const bool whole =
      bits.size() == 2 && parse_whole(parts[0], epochs) && parse_whole(bits[0], w) && parse_whole(bits[1], a);
  if (!whole || epochs < 1 || epochs > 1'000'000'000 || !in_range(w) || !in_range(a)) {
    fail<ConfigError>(
        "quant.progressive: '{}' is not EPOCHS:W,A with bits of 2 to 8; as in \"5:8,8; 5:4,4\", five epochs with 8 "
        "bits and then five with 4, before those with quant.weight_bits",
        entry);
  }
  return {epochs, w, a};
}

// None where weights or activations end in floats, as some cells of a study may: such networks have no steps for them.
std::vector<BitPeriod> falling_bits(const Config& c) {
  if (c.get_int("quant.weight_bits") == kFloat || c.get_int("quant.activation_bits") == kFloat) return {};
  return parse_bit_periods(c.get_string("quant.progressive"));
}

// The last epochs have frozen statistics: the phases there are cut, and marked.
void freeze_last(std::vector<Phase>& phases, std::int64_t from) {
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const bool is_last = i + 1 == phases.size();
    if (phases[i].first_epoch < from && (is_last || phases[i + 1].first_epoch > from)) {
      Phase rest = phases[i];
      rest.first_epoch = from;
      phases.insert(phases.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest);
    }
    phases[i].frozen_norm = phases[i].first_epoch >= from;
  }
}

}  // namespace

std::vector<BitPeriod> parse_bit_periods(std::string_view text) {
  std::vector<BitPeriod> periods;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string entry(text.substr(0, end));
    if (entry.find_first_not_of(" \t\n") != entry.npos) periods.push_back(parse_period(entry));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return periods;
}

bool quantizes(const Config& c) {
  return c.get_string("quant.quantizer") != "none" &&
         (c.get_int("quant.weight_bits") != kFloat || c.get_int("quant.activation_bits") != kFloat ||
          !c.get_string("quant.layers").empty());
}

std::vector<Phase> training_phases(const Config& c) {
  std::vector<Phase> phases;
  if (!quantizes(c)) {
    phases.push_back({});
  } else {
    std::int64_t epoch = c.get_int("quant.float_epochs");
    if (epoch > 0) phases.push_back({});
    for (const BitPeriod& p : falling_bits(c)) {
      phases.push_back({epoch, true, p.weight_bits, p.activation_bits});
      epoch += p.epochs;
    }
    phases.push_back({epoch, true, static_cast<int>(c.get_int("quant.weight_bits")),
                      static_cast<int>(c.get_int("quant.activation_bits"))});
  }
  const std::int64_t frozen = c.get_int("train.frozen_norm_epochs");
  if (frozen > 0) freeze_last(phases, c.get_int("train.epochs") - frozen);
  return phases;
}

}  // namespace gridstep
