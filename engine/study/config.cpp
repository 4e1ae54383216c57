#include "engine/study/config.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"

namespace gridstep {
namespace {

const KeyInfo& require_key(std::string_view key, std::string_view origin) {
  const KeyInfo* info = find_key(key);
  if (info == nullptr) fail<ConfigError>("{}: unknown key '{}'{}", origin, key, suggest_key(key));
  return *info;
}

template <class T>
const T& typed(const Config& config, std::string_view key) {
  const T* value = std::get_if<T>(&config.value(key));
  GS_CHECK(value != nullptr, "configuration key '{}' = {} was read with another type", key, config.text(key));
  return *value;
}

}  // namespace

Config::Config() {
  for (const auto& key : schema()) {
    values_.push_back(key.fallback);
    origins_.emplace_back("default");
  }
}

const Value& Config::value(std::string_view key) const { return values_[key_index(key)]; }
const std::string& Config::origin(std::string_view key) const { return origins_[key_index(key)]; }
bool Config::is_explicit(std::string_view key) const { return origin(key) != "default"; }
std::string Config::text(std::string_view key) const { return value_text(value(key)); }

std::int64_t Config::get_int(std::string_view key) const { return typed<std::int64_t>(*this, key); }
double Config::get_float(std::string_view key) const { return typed<double>(*this, key); }
const std::string& Config::get_string(std::string_view key) const { return typed<std::string>(*this, key); }
bool Config::get_bool(std::string_view key) const { return typed<bool>(*this, key); }
const std::vector<std::int64_t>& Config::get_list(std::string_view key) const {
  return typed<std::vector<std::int64_t>>(*this, key);
}

std::optional<double> Config::find_float(std::string_view key) const {
  if (std::holds_alternative<std::monostate>(value(key))) return std::nullopt;
  return get_float(key);
}

std::optional<bool> Config::find_bool(std::string_view key) const {
  if (std::holds_alternative<std::monostate>(value(key))) return std::nullopt;
  return get_bool(key);
}

void Config::set(std::string_view key, Value value, std::string origin) {
  const KeyInfo& info = require_key(key, origin);
  const std::size_t at = key_index(key);
  values_[at] = checked_value(info, std::move(value), origin);
  origins_[at] = std::move(origin);
}

void Config::set_text(std::string_view key, std::string_view text, std::string origin) {
  Value value = parse_value(require_key(key, origin), text, origin);
  set(key, std::move(value), std::move(origin));
}

std::string to_toml(const Config& config, const std::vector<std::string>& without) {
  std::string out;
  std::string_view table;
  for (const auto& key : schema()) {
    const Value& value = config.value(key.name);
    if (std::holds_alternative<std::monostate>(value)) continue;
    if (std::find(without.begin(), without.end(), key.name) != without.end()) continue;
    const auto head = std::string_view(key.name).substr(0, key.name.find('.'));
    if (head != table) out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", head);
    table = head;
    out += fmt::format("{} = {}\n", key.leaf(), value_toml(value));
  }
  return out;
}

Task task_of(const Config& config) {
  return config.get_string("model.name") == "espcn" ? Task::kSuperResolution : Task::kClassification;
}

std::string metric_of(const Config& config) {
  const std::string& metric = config.get_string("study.metric");
  if (metric != "auto") return metric;
  return task_of(config) == Task::kSuperResolution ? "psnr_y" : "top1";
}

std::string bits_text(const Config& config) {
  if (config.get_string("quant.quantizer") == "none") return "float";
  std::string text = fmt::format("W{}A{} {}", config.get_int("quant.weight_bits"),
                                 config.get_int("quant.activation_bits"), config.get_string("quant.quantizer"));
  const std::string& range = config.get_string("quant.weight_range");
  return range == "auto" ? text : text + " " + range;
}

}  // namespace gridstep
