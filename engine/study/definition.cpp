#include "engine/study/definition.h"

#include <algorithm>
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

std::vector<std::string> optimizers_in_use(const Study& study) {
  const Axis* axis = study.find_axis("optim.name");
  if (axis == nullptr) return {study.base.get_string("optim.name")};
  std::vector<std::string> names;
  for (const auto& value : axis->values) names.push_back(std::get<std::string>(value));
  return names;
}

}  // namespace

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

void Study::pin(std::string_view key, Value value, std::string origin) {
  base.set(key, std::move(value), std::move(origin));
  std::erase_if(axes, [&](const Axis& axis) { return axis.key == key; });
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
  const bool rates_used = study.find_axis("optim.lr") == nullptr && study.base.get_float("optim.lr") == 0;
  if (!rates_used) return identity;
  for (const auto& optimizer : optimizers_in_use(study)) {
    const auto rate = study.rates.find(optimizer);
    if (rate != study.rates.end()) identity["rates." + optimizer] = value_text(rate->second);
  }
  return identity;
}

}  // namespace gridstep
