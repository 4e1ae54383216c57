#include "engine/study/schema.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/names.h"
#include "engine/study/schema_table.h"

namespace gridstep {
namespace {

constexpr double kLargestWhole = 9007199254740992.0;  // 2^53: beyond it a range held in doubles would not be exact

std::string number_text(std::int64_t number) { return fmt::format("{}", number); }

// The fewest digits that give the same number back; without an exponent where people write none.
std::string number_text(double number) {
  constexpr double kSmallest = 1e-4;
  constexpr double kLargest = 1e9;
  const double size = std::abs(number);
  const bool plain = size == 0 || (size >= kSmallest && size < kLargest);
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  return {buffer, end.ptr};
}

std::string_view type_text(KeyType type) {
  switch (type) {
    case KeyType::kInt:
      return "a whole number";
    case KeyType::kFloat:
      return "a number";
    case KeyType::kString:
      return "a string";
    case KeyType::kBool:
      return "true or false";
    case KeyType::kList:
      return "a list of whole numbers";
  }
  return "";
}

// `shown` is `given` as it stands in a message: strings in quotes.
[[noreturn]] void refuse(const KeyInfo& key, std::string_view given, std::string_view shown, std::string_view origin) {
  const std::string allowed = key.allowed();
  if (!key.choices.empty())
    fail<ConfigError>("{}: {} = {}: expected {}{}", origin, key.name, shown, allowed, did_you_mean(given, key.choices));
  fail<ConfigError>("{}: {} = {}: expected {}{}{}", origin, key.name, shown, type_text(key.type),
                    allowed.empty() ? "" : ", ", allowed);
}

bool in_range(const KeyRange& range, double v) {
  if (!std::isfinite(v)) return false;
  return (range.lo_open ? v > range.lo : v >= range.lo) && (range.hi_open ? v < range.hi : v <= range.hi);
}

bool int_allowed(const KeyInfo& key, std::int64_t v) {
  if (std::find(key.extra.begin(), key.extra.end(), v) != key.extra.end()) return true;
  const auto d = static_cast<double>(v);
  return std::abs(d) < kLargestWhole && in_range(key.range, d);
}

bool value_allowed(const KeyInfo& key, const Value& value) {
  switch (key.type) {
    case KeyType::kInt: {
      const auto* v = std::get_if<std::int64_t>(&value);
      return v != nullptr && int_allowed(key, *v);
    }
    case KeyType::kFloat: {
      const auto* v = std::get_if<double>(&value);
      return v != nullptr && in_range(key.range, *v);
    }
    case KeyType::kString: {
      const auto* v = std::get_if<std::string>(&value);
      return v != nullptr &&
             (key.choices.empty() || std::find(key.choices.begin(), key.choices.end(), *v) != key.choices.end());
    }
    case KeyType::kBool:
      return std::holds_alternative<bool>(value);
    case KeyType::kList: {
      const auto* v = std::get_if<std::vector<std::int64_t>>(&value);
      return v != nullptr && std::all_of(v->begin(), v->end(), [&](std::int64_t i) { return int_allowed(key, i); });
    }
  }
  return false;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

template <class T>
bool parse_number(std::string_view text, T& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

bool parse_list(std::string_view text, std::vector<std::int64_t>& list) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = trim(text.substr(1, text.size() - 2));
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (!parse_number(trim(text.substr(0, comma)), list.emplace_back())) return false;
    if (comma == std::string_view::npos) return true;
    text = trim(text.substr(comma + 1));
  }
  return true;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string_view KeyInfo::leaf() const { return std::string_view(name).substr(name.rfind('.') + 1); }

std::string KeyInfo::allowed() const {
  if (!choices.empty()) return "one of " + join(choices);
  if (type != KeyType::kInt && type != KeyType::kFloat && type != KeyType::kList) return {};
  std::string text;
  if (std::isfinite(range.lo) && std::isfinite(range.hi)) {
    text = range.lo_open || range.hi_open
               ? fmt::format("in {}{}, {}{}", range.lo_open ? '(' : '[', range.lo, range.hi, range.hi_open ? ')' : ']')
               : fmt::format("{} to {}", range.lo, range.hi);
  } else if (std::isfinite(range.lo)) {
    text = fmt::format("{} {}", range.lo_open ? "above" : "at least", range.lo);
  }
  for (const auto v : extra) text += fmt::format(" or {}", v);
  return text;
}

const KeyInfo* find_key(std::string_view name) {
  const auto& keys = schema();
  const auto it = std::find_if(keys.begin(), keys.end(), [&](const KeyInfo& key) { return key.name == name; });
  return it == keys.end() ? nullptr : &*it;
}

std::size_t key_index(std::string_view name) {
  const KeyInfo* key = find_key(name);
  GS_CHECK(key != nullptr, "no configuration key '{}' in the schema", name);
  return static_cast<std::size_t>(key - schema().data());
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const auto& key : schema()) names.push_back(key.name);
  return names;
}

std::string suggest_key(std::string_view name) {
  std::vector<std::string> leaves;
  for (const auto& key : schema()) leaves.emplace_back(key.leaf());
  // A key without its table, or in the wrong one, is nearer in meaning than any edit of the whole.
  const std::string_view leaf = name.substr(name.rfind('.') + 1);
  if (std::count(leaves.begin(), leaves.end(), leaf) == 1) {
    const auto at = std::find(leaves.begin(), leaves.end(), leaf) - leaves.begin();
    return fmt::format(" (did you mean '{}'?)", schema()[static_cast<std::size_t>(at)].name);
  }
  if (name.find('.') != std::string_view::npos) return did_you_mean(name, key_names());
  const std::string match = nearest_name(name, leaves);
  if (match.empty()) return {};
  const auto at = std::find(leaves.begin(), leaves.end(), match) - leaves.begin();
  return fmt::format(" (did you mean '{}'?)", schema()[static_cast<std::size_t>(at)].name);
}

Value checked_value(const KeyInfo& key, Value value, std::string_view origin) {
  if (key.type == KeyType::kFloat) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) value = static_cast<double>(*whole);
  }
  const bool unset = std::holds_alternative<std::monostate>(value) && value == key.fallback;
  if (!unset && !value_allowed(key, value)) {
    const std::string given = value_text(value);
    refuse(key, given, std::holds_alternative<std::string>(value) ? toml_string(given) : given, origin);
  }
  return value;
}

Value parse_value(const KeyInfo& key, std::string_view text, std::string_view origin) {
  text = trim(text);
  bool ok = true;
  Value value;
  switch (key.type) {
    case KeyType::kInt:
      ok = parse_number(text, value.emplace<std::int64_t>());
      break;
    case KeyType::kFloat:
      ok = parse_number(text, value.emplace<double>());
      break;
    case KeyType::kBool:
      ok = text == "true" || text == "false";
      value = text == "true";
      break;
    case KeyType::kList:
      ok = parse_list(text, value.emplace<std::vector<std::int64_t>>());
      break;
    case KeyType::kString:
      if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
      value = std::string(text);
      break;
  }
  if (!ok) refuse(key, text, text, origin);
  return checked_value(key, std::move(value), origin);
}

std::string value_text(const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return "unset";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  return value_toml(value);
}

std::string value_toml(const Value& value) {
  GS_CHECK(!std::holds_alternative<std::monostate>(value), "an unset value cannot be written");
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return number_text(*whole);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return toml_string(*text);
  if (const auto* number = std::get_if<double>(&value)) {
    const std::string text = number_text(*number);
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;  // TOML would read "1" as an integer
  }
  std::vector<std::string> items;
  for (const auto v : std::get<std::vector<std::int64_t>>(value)) items.push_back(number_text(v));
  return "[" + join(items) + "]";
}

const std::vector<KeyInfo>& schema() {
  static const std::vector<KeyInfo> table = detail::schema_table();
  return table;
}

}  // namespace gridstep
