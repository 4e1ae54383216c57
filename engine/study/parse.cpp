// Text to Study: TOML and JSON files, and --set. Both formats become one flat list of entries first.
#include <toml++/toml.h>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/names.h"
#include "engine/study/definition.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

using nlohmann::json;

struct Entry {
  std::string path;  // dotted
  json value;
  std::string origin;
  unsigned line = 0;
};

const std::vector<std::string>& table_names() {
  static const std::vector<std::string> names = {"study", "model", "quant", "optim",   "schedule", "train", "data",
                                                 "eval",  "run",   "grid",  "variant", "rates",    "tune"};
  return names;
}

std::string joined_path(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

// --- formats ---

json toml_value(const toml::node& node, const std::string& where) {
  if (const auto* v = node.as_integer()) return v->get();
  if (const auto* v = node.as_floating_point()) return v->get();
  if (const auto* v = node.as_boolean()) return v->get();
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* array = node.as_array()) {
    json list = json::array();
    for (const auto& item : *array) list.push_back(toml_value(item, where));
    return list;
  }
  fail<ConfigError>("{}: dates, times and tables are not values of any key", where);
}

void flatten_toml(const toml::table& table, const std::string& path, const std::string& source,
                  std::vector<Entry>& out) {
  for (const auto& [name, node] : table) {
    const std::string here = joined_path(path, name.str());
    const auto line = node.source().begin.line;
    const std::string origin = fmt::format("{}:{}", source, line);
    if (const auto* inner = node.as_table(); inner != nullptr && !inner->empty()) {
      flatten_toml(*inner, here, source, out);
    } else {
      out.push_back({here, inner != nullptr ? json::object() : toml_value(node, origin), origin, line});
    }
  }
}

// The parser goes down tables of tables by recursion, and so do we: a key of very many parts would end the stack.
void check_key_depth(std::string_view toml, const std::string& source) {
  constexpr int kMaxParts = 100;
  int dots = 0, line = 1;
  bool in_comment = false;
  char quote = 0;
  for (std::size_t i = 0; i < toml.size(); ++i) {
    const char c = toml[i];
    if (c == '\n') {  // no key goes on in the next line, nor a string of one
      ++line;
      dots = 0;
      quote = 0;
      in_comment = false;
    } else if (in_comment) {
      continue;
    } else if (quote != 0) {
      if (c == '\\' && quote == '"') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#') {
      in_comment = true;
    } else if (std::string_view("=,[]{}").find(c) != std::string_view::npos) {
      dots = 0;
    } else if (c == '.' && ++dots > kMaxParts) {
      fail<ConfigError>("{}:{}: a key of more than {} parts", source, line, kMaxParts);
    }
  }
}

// The parser itself would keep the last of two equal keys, and any depth.
nlohmann::ordered_json parse_json(std::string_view text, const std::string& source) {
  using Event = nlohmann::ordered_json::parse_event_t;
  constexpr int kMaxDepth = 16;
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Event event, const nlohmann::ordered_json& parsed) {
    if (depth > kMaxDepth) fail<ConfigError>("{}: nested deeper than {} levels", source, kMaxDepth);
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second)
      fail<ConfigError>("{}: an object names '{}' twice", source, parsed.get<std::string>());
    return true;
  };
  try {
    return nlohmann::ordered_json::parse(text, check);
  } catch (const json::exception& e) {
    fail<ConfigError>("{}: this is not valid JSON: {}", source, e.what());
  }
}

// Ordered: variants keep the order of the file.
void flatten_json(const nlohmann::ordered_json& object, const std::string& path, const std::string& source,
                  std::vector<Entry>& out) {
  for (const auto& [name, value] : object.items()) {
    const std::string here = joined_path(path, name);
    if (value.is_object() && !value.empty()) {
      flatten_json(value, here, source, out);
    } else {
      out.push_back({here, json(value), source, 0});
    }
  }
}

std::vector<Entry> read_entries(std::string_view text, const std::string& source) {
  std::vector<Entry> entries;
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    flatten_json(parse_json(text, source), "", source, entries);
    return entries;
  }
  check_key_depth(text, source);
  try {
    flatten_toml(toml::parse(text), "", source, entries);
  } catch (const toml::parse_error& e) {
    fail<ConfigError>("{}:{}:{}: this is not valid TOML: {}", source, e.source().begin.line, e.source().begin.column,
                      e.description());
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.line < b.line; });
  return entries;
}

// --- values ---

// For messages. Arguments of --set need not be UTF-8.
std::string shown(const json& raw) { return raw.dump(-1, ' ', false, json::error_handler_t::replace); }

std::optional<Value> to_value(const json& raw) {
  if (raw.is_boolean()) return raw.get<bool>();
  if (raw.is_number_unsigned() && raw.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return std::nullopt;
  if (raw.is_number_integer()) return raw.get<std::int64_t>();
  if (raw.is_number_float()) return raw.get<double>();
  if (raw.is_string()) return raw.get<std::string>();
  if (!raw.is_array()) return std::nullopt;
  if (!std::all_of(raw.begin(), raw.end(), [](const json& v) { return v.is_number_integer(); })) return std::nullopt;
  return raw.get<std::vector<std::int64_t>>();
}

Value require_value(const json& raw, std::string_view key, const std::string& origin) {
  auto value = to_value(raw);
  if (!value) fail<ConfigError>("{}: {} = {}: no key takes such a value", origin, key, shown(raw));
  return *value;
}

double require_rate(const json& raw, std::string_view key, const std::string& origin) {
  const double rate = raw.is_number() ? raw.get<double>() : 0.0;
  if (!(rate > 0 && rate < 1e6)) {
    fail<ConfigError>("{}: {} = {}: expected a learning rate, a number above 0", origin, key, shown(raw));
  }
  return rate;
}

// --- tables of a study ---

void apply_grid(Study& study, const std::string& key, const json& raw, const std::string& origin) {
  if (find_key(key) != nullptr && !raw.is_array()) {
    fail<ConfigError>("{}: grid axis '{}' = {}: expected a list of values, as in [{}]", origin, key, shown(raw),
                      shown(raw));
  }
  Axis axis{key, {}, origin};
  if (raw.is_array()) {
    for (const auto& item : raw) axis.values.push_back(require_value(item, key, origin));
  }
  study.set_axis(std::move(axis));
}

// `path` is "<name>.<key>", or "<name>" alone for a variant that changes nothing.
void apply_variant(Study& study, const std::string& path, const json& raw, const std::string& origin) {
  const auto dot = path.find('.');
  const std::string name = path.substr(0, dot);
  if (dot == std::string::npos) {
    if (!raw.is_object()) {
      fail<ConfigError>("{}: variant.{} = {}: expected a table of keys, as in [variant.{}]", origin, name, shown(raw),
                        name);
    }
    study.set_variant(name, "start", std::string(), origin);
    return;
  }
  study.set_variant(name, path.substr(dot + 1), require_value(raw, "variant." + path, origin), origin);
}

const std::string& require_optimizer(const std::string& name, std::string_view table, const std::string& origin) {
  const auto names = optimizer_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    fail<ConfigError>("{}: [{}] names the unknown optimizer '{}'{}", origin, table, name, did_you_mean(name, names));
  }
  return name;
}

void apply_rate(Study& study, const std::string& optimizer, const json& raw, const std::string& origin) {
  study.rates[require_optimizer(optimizer, "rates", origin)] = require_rate(raw, "rates." + optimizer, origin);
}

std::int64_t require_count(const json& raw, std::string_view key, std::int64_t lo, std::int64_t hi,
                           const std::string& origin) {
  const auto value = to_value(raw);
  const auto* count = value ? std::get_if<std::int64_t>(&*value) : nullptr;
  if (count == nullptr || *count < lo || *count > hi) {
    fail<ConfigError>("{}: tune.{} = {}: expected a whole number, {} to {}", origin, key, shown(raw), lo, hi);
  }
  return *count;
}

void apply_tune_rates(Tuning& tune, const std::string& key, const json& raw, const std::string& origin) {
  if (key == "rates") {
    if (raw != "auto")
      fail<ConfigError>("{}: tune.rates = {}: expected \"auto\" or a table of lists", origin, shown(raw));
    tune.rates.clear();
    return;
  }
  const std::string optimizer = require_optimizer(key.substr(key.find('.') + 1), "tune.rates", origin);
  if (!raw.is_array() || raw.empty()) {
    fail<ConfigError>("{}: tune.{} = {}: expected a list of learning rates", origin, key, shown(raw));
  }
  std::vector<double> rates;
  for (const auto& item : raw) rates.push_back(require_rate(item, "tune." + key, origin));
  std::sort(rates.begin(), rates.end());
  if (std::adjacent_find(rates.begin(), rates.end()) != rates.end()) {
    fail<ConfigError>("{}: tune.{} holds a rate twice", origin, key);
  }
  tune.rates[optimizer] = std::move(rates);
}

void apply_tune(Study& study, const std::string& key, const json& raw, const std::string& origin) {
  Tuning& tune = study.tune;
  tune.present = true;
  if (key == "points") {
    tune.points = require_count(raw, key, 2, 100, origin);
  } else if (key == "points_per_decade") {
    tune.points_per_decade = require_count(raw, key, 1, 20, origin);
  } else if (key == "epochs") {
    tune.epochs = require_count(raw, key, 0, 1000000000, origin);
  } else if (key == "max_extensions") {
    tune.max_extensions = require_count(raw, key, 0, 20, origin);
  } else if (key == "seeds") {
    const json list = raw.is_array() ? raw : json::array({raw});
    tune.seeds.clear();
    for (const auto& item : list) tune.seeds.push_back(require_count(item, key, 0, 4294967295, origin));
    if (tune.seeds.empty()) fail<ConfigError>("{}: tune.seeds is empty: at least one tuning seed is needed", origin);
  } else if (key == "rates" || key.rfind("rates.", 0) == 0) {
    apply_tune_rates(tune, key, raw, origin);
  } else {
    fail<ConfigError>("{}: unknown key 'tune.{}'{}", origin, key,
                      did_you_mean("tune." + key, {"tune.rates", "tune.points", "tune.points_per_decade", "tune.seeds",
                                                   "tune.epochs", "tune.max_extensions"}));
  }
}

void apply_entry(Study& study, const Entry& entry) {
  const auto& [path, raw, origin, line] = entry;
  const auto dot = path.find('.');
  const std::string table = path.substr(0, dot);
  const std::string rest = dot == std::string::npos ? "" : path.substr(dot + 1);
  const bool known_table = std::find(table_names().begin(), table_names().end(), table) != table_names().end();
  if (raw.is_object() && rest.empty()) {
    if (!known_table) fail<ConfigError>("{}: unknown table [{}]{}", origin, table, did_you_mean(table, table_names()));
    if (table == "tune") study.tune.present = true;
  } else if (table == "grid" && !rest.empty()) {
    apply_grid(study, rest, raw, origin);
  } else if (table == "variant" && !rest.empty()) {
    apply_variant(study, rest, raw, origin);
  } else if (table == "rates" && !rest.empty()) {
    apply_rate(study, rest, raw, origin);
  } else if (table == "tune" && !rest.empty()) {
    apply_tune(study, rest, raw, origin);
  } else if (find_key(path) == nullptr) {
    fail<ConfigError>("{}: unknown key '{}'{}", origin, path, suggest_key(path));
  } else {
    study.base.set(path, require_value(raw, path, origin), origin);
  }
}

// Splits at commas outside brackets.
std::vector<std::string> split_items(std::string_view text) {
  std::vector<std::string> items(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == ',' && depth == 0) {
      items.emplace_back();
    } else {
      items.back() += c;
    }
  }
  return items;
}

void set_grid(Study& study, const std::string& key, std::string_view text, const std::string& origin) {
  Axis axis{key, {}, origin};
  if (const KeyInfo* info = find_key(key)) {
    const std::string_view open = info->type == KeyType::kList ? "[[" : "[";
    if (text.starts_with(open) && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    for (const auto& item : split_items(text)) axis.values.push_back(parse_value(*info, item, origin));
  }
  study.set_axis(std::move(axis));
}

void set_variant_key(Study& study, const std::string& path, std::string_view text, const std::string& origin) {
  const auto dot = path.find('.');
  if (dot == std::string::npos) {
    fail<ConfigError>("{}: expected variant.<name>.<key>=value, as in --set variant.w4.quant.weight_bits=4", origin);
  }
  const std::string name = path.substr(0, dot), key = path.substr(dot + 1);
  const KeyInfo* info = find_key(key);
  study.set_variant(name, key, info != nullptr ? parse_value(*info, text, origin) : Value(std::string(text)), origin);
}

json parse_loose(std::string_view text) {
  json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? json(std::string(text)) : value;
}

bool is_file_safe(std::string_view name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

}  // namespace

Study parse_study(std::string_view text, const std::string& source) {
  Study study;
  const auto entries = read_entries(text, source);
  std::set<std::string> paths;  // "train.seed" is also [train] with seed
  for (const auto& entry : entries) {
    if (!paths.insert(entry.path).second) fail<ConfigError>("{}: '{}' is set twice", entry.origin, entry.path);
    apply_entry(study, entry);
  }
  for (const auto& entry : entries) {
    if (study.find_axis(entry.path) != nullptr) {
      fail<ConfigError>("{}: '{}' is set here and is a grid axis too ({}): keep one of them", entry.origin, entry.path,
                        study.find_axis(entry.path)->origin);
    }
  }
  const std::string stem = fs::path(source).stem().string();
  if (!study.base.is_explicit("study.name") && is_file_safe(stem)) study.base.set("study.name", stem, source);
  return study;
}

void apply_set(Study& study, std::string_view assignment) {
  const std::string origin = fmt::format("--set {}", assignment);
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    fail<ConfigError>("{}: expected key=value, as in --set optim.lr=0.001", origin);
  }
  const std::string key(assignment.substr(0, equals));
  const std::string_view text = assignment.substr(equals + 1);
  if (key.rfind("grid.", 0) == 0) {
    set_grid(study, key.substr(5), text, origin);
  } else if (key.rfind("variant.", 0) == 0) {
    set_variant_key(study, key.substr(8), text, origin);
  } else if (key.rfind("rates.", 0) == 0) {
    apply_rate(study, key.substr(6), parse_loose(text), origin);
  } else if (key.rfind("tune.", 0) == 0) {
    apply_tune(study, key.substr(5), parse_loose(text), origin);
  } else if (const KeyInfo* info = find_key(key)) {
    study.pin(key, parse_value(*info, text, origin), origin);
  } else {
    fail<ConfigError>("{}: unknown key '{}'{}", origin, key, suggest_key(key));
  }
}

}  // namespace gridstep
