#include "engine/study/definition.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

std::string axis_toml(const Axis& axis) {
  std::vector<std::string> items;
  for (const auto& value : axis.values) items.push_back(value_toml(value));
  return "[" + join(items) + "]";
}

std::string rate_list(const std::vector<double>& rates) {
  std::vector<std::string> items;
  items.reserve(rates.size());
  for (const double rate : rates) items.push_back(value_toml(rate));
  return "[" + join(items) + "]";
}

std::string tuning_toml(const Tuning& tune) {
  std::string out =
      fmt::format("\n[tune]\npoints = {}\npoints_per_decade = {}\nseeds = {}\nepochs = {}\nmax_extensions = {}\n",
                  tune.points, tune.points_per_decade, value_toml(tune.seeds), tune.epochs, tune.max_extensions);
  if (tune.rates.empty()) return out + "rates = \"auto\"\n";
  out += "\n[tune.rates]\n";
  for (const auto& [optimizer, rates] : tune.rates) out += fmt::format("{} = {}\n", optimizer, rate_list(rates));
  return out;
}

// The variants; of a study without any, nullptr alone: the base.
std::vector<const Variant*> rows_of(const Study& study) {
  std::vector<const Variant*> rows;
  for (const auto& variant : study.variants) rows.push_back(&variant);
  if (rows.empty()) rows.push_back(nullptr);
  return rows;
}

// Optimizers of cells whose rate is theirs in [rates], not one of an axis, a variant or the base.
std::set<std::string> optimizers_with_own_rate(const Study& study) {
  std::set<std::string> names;
  if (study.find_axis("optim.lr") != nullptr) return names;
  const Axis* axis = study.find_axis("optim.name");
  for (const auto* variant : rows_of(study)) {
    if (std::get<double>(value_under(study, variant, "optim.lr")) != 0) continue;
    const std::vector<Value> own{value_under(study, variant, "optim.name")};
    for (const auto& value : axis != nullptr ? axis->values : own) names.insert(std::get<std::string>(value));
  }
  return names;
}

}  // namespace

const Value& value_under(const Study& study, const Variant* variant, std::string_view key) {
  const Value* own = variant != nullptr ? variant->find(key) : nullptr;
  return own != nullptr ? *own : study.base.value(key);
}

std::vector<std::string> optimizers_in_use(const Study& study) {
  std::vector<std::string> names;
  const auto add = [&](const Value& value) {
    const auto& name = std::get<std::string>(value);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  if (const Axis* axis = study.find_axis("optim.name")) {
    for (const auto& value : axis->values) add(value);
  } else {
    for (const auto* variant : rows_of(study)) add(value_under(study, variant, "optim.name"));
  }
  return names;
}

const Value* Variant::find(std::string_view key) const {
  const auto it = std::find_if(settings.begin(), settings.end(), [&](const auto& entry) { return entry.first == key; });
  return it == settings.end() ? nullptr : &it->second;
}

const Variant* Study::find_variant(std::string_view name) const {
  const auto it = std::find_if(variants.begin(), variants.end(), [&](const Variant& v) { return v.name == name; });
  return it == variants.end() ? nullptr : &*it;
}

bool Study::varies(std::string_view key) const {
  return std::any_of(variants.begin(), variants.end(), [&](const Variant& v) { return v.find(key) != nullptr; });
}

const Axis* Study::find_axis(std::string_view key) const {
  const auto it = std::find_if(axes.begin(), axes.end(), [&](const Axis& axis) { return axis.key == key; });
  return it == axes.end() ? nullptr : &*it;
}

void Study::set_axis(Axis axis) {
  const KeyInfo* key = find_key(axis.key);
  if (key == nullptr)
    fail<ConfigError>("{}: [grid] names the unknown key '{}'{}", axis.origin, axis.key, suggest_key(axis.key));
  if (!key->can_be_axis()) {
    fail<ConfigError>(
        "{}: '{}' cannot be a grid axis: it {}", axis.origin, axis.key,
        key->scope == KeyScope::kRun ? "says how to run, not what to compute" : "describes the study as a whole");
  }
  if (axis.values.empty()) fail<ConfigError>("{}: grid axis '{}' has no values", axis.origin, axis.key);
  for (auto value = axis.values.begin(); value != axis.values.end(); ++value) {
    *value = checked_value(*key, std::move(*value), axis.origin);
    if (std::find(axis.values.begin(), value, *value) != value) {
      fail<ConfigError>("{}: grid axis '{}' holds {} twice", axis.origin, axis.key, value_text(*value));
    }
  }
  base.set(axis.key, key->fallback, "default");  // the axis alone speaks, or two studies of equal cells differ
  std::erase_if(axes, [&](const Axis& other) { return other.key == axis.key; });
  const auto at = std::find_if(axes.begin(), axes.end(),
                               [&](const Axis& other) { return key_index(other.key) > key_index(axis.key); });
  axes.insert(at, std::move(axis));
}

void Study::set_variant(const std::string& name, std::string_view key, Value value, const std::string& origin) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!plain) fail<ConfigError>("{}: variant '{}' names folders: use letters, digits, '-' and '_'", origin, name);
  auto variant = std::find_if(variants.begin(), variants.end(), [&](const Variant& v) { return v.name == name; });
  if (variant == variants.end()) {
    variants.push_back({name, {}, {}, origin});
    variant = std::prev(variants.end());
  }
  if (key == "start") {
    const auto* start = std::get_if<std::string>(&value);
    if (start == nullptr) fail<ConfigError>("{}: variant.{}.start: expected the name of a variant", origin, name);
    variant->start = *start;
    return;
  }
  const KeyInfo* info = find_key(key);
  if (info == nullptr) {
    const std::string match = did_you_mean(key, {"start"});
    fail<ConfigError>("{}: variant '{}' sets the unknown key '{}'{}", origin, name, key,
                      match.empty() ? suggest_key(key) : match);
  }
  if (!info->can_be_axis()) {
    fail<ConfigError>(
        "{}: '{}' cannot differ between variants: it {}", origin, key,
        info->scope == KeyScope::kRun ? "says how to run, not what to compute" : "describes the study as a whole");
  }
  value = checked_value(*info, std::move(value), origin);
  auto& settings = variant->settings;
  std::erase_if(settings, [&](const auto& entry) { return entry.first == key; });
  const auto at = std::find_if(settings.begin(), settings.end(),
                               [&](const auto& entry) { return key_index(entry.first) > key_index(key); });
  settings.insert(at, {std::string(key), std::move(value)});
}

void Study::pin(std::string_view key, Value value, std::string origin) {
  base.set(key, std::move(value), std::move(origin));
  std::erase_if(axes, [&](const Axis& axis) { return axis.key == key; });
  for (Variant& variant : variants) {
    std::erase_if(variant.settings, [&](const auto& entry) { return entry.first == key; });
  }
}

Study load_study(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) fail<ConfigError>("{}: there is no such study file", path.string());
  return parse_study(read_file(path), path.string());
}

std::string to_toml(const Study& study) {
  std::vector<std::string> axis_keys;
  for (const auto& axis : study.axes) axis_keys.push_back(axis.key);
  std::string out = "# Resolved by gridstep. Every key is listed; `gridstep study <this file>` repeats the study.\n\n";
  out += to_toml(study.base, axis_keys);
  if (!study.axes.empty()) out += "\n[grid]\n";
  for (const auto& axis : study.axes) out += fmt::format("{} = {}\n", axis.key, axis_toml(axis));
  for (const auto& variant : study.variants) {
    out += fmt::format("\n[variant.{}]\n", variant.name);
    if (!variant.start.empty()) out += fmt::format("start = {}\n", value_toml(variant.start));
    for (const auto& [key, value] : variant.settings) out += fmt::format("{} = {}\n", key, value_toml(value));
  }
  if (!study.rates.empty()) out += "\n[rates]\n";
  for (const auto& [optimizer, rate] : study.rates) out += fmt::format("{} = {}\n", optimizer, value_toml(rate));
  if (study.tune.present) out += tuning_toml(study.tune);
  return out;
}

std::map<std::string, std::string> study_identity(const Study& study) {
  std::map<std::string, std::string> identity;
  for (const auto& key : schema()) {
    if (key.scope != KeyScope::kRun) identity[key.name] = study.base.text(key.name);
  }
  for (const auto& axis : study.axes) identity[axis.key] = axis_toml(axis);
  for (const auto& variant : study.variants) {
    identity["variant." + variant.name] = variant.start;
    for (const auto& [key, value] : variant.settings) {
      identity[fmt::format("variant.{}.{}", variant.name, key)] = value_text(value);
    }
  }
  for (const auto& optimizer : optimizers_with_own_rate(study)) {
    const auto rate = study.rates.find(optimizer);
    if (rate != study.rates.end()) identity["rates." + optimizer] = value_text(rate->second);
  }
  return identity;
}

}  // namespace gridstep
