#include "optim/registry.h"

#include <algorithm>
#include <iterator>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

constexpr std::string_view kStepLrFactor = "step_lr_factor";
constexpr std::string_view kStepWeightDecay = "step_weight_decay";

struct Entry {
  OptimizerInfo info;
  void (*prepare)(const Settings&, std::int64_t, double, StepParams&);
  int (*slots_in_use)(const StepParams&);
};

template <class Rule>
Entry entry_of() {
  static_assert(Rule::min_slots <= Rule::slots && Rule::slots <= kMaxSlots);
  return {{Rule::name, Rule::slots, Rule::adaptive, Rule::norms, Rule::default_lr, Rule::settings},
          &Rule::prepare,
          &Rule::slots_in_use};
}

template <class... Rules>
std::vector<Entry> entries_of(const std::tuple<Rules...>*) {
  return {entry_of<Rules>()...};
}

const Entry& entry(int rule) {
  static const std::vector<Entry> entries = entries_of(static_cast<const AllOptimizers*>(nullptr));
  GS_CHECK(rule >= 0 && rule < static_cast<int>(entries.size()), "no optimizer has the index {}", rule);
  return entries[static_cast<std::size_t>(rule)];
}

constexpr int kRules = static_cast<int>(std::tuple_size_v<AllOptimizers>);

void check_range(std::string_view optimizer, std::string_view name, double value, SettingRange range) {
  const auto require = [&](bool holds, std::string_view wanted) {
    if (!holds) fail<ConfigError>("optimizer '{}': {} = {}, but it must be {}", optimizer, name, value, wanted);
  };
  require(std::isfinite(value), "a finite number");
  switch (range) {
    case SettingRange::kNonNegative:
      return require(value >= 0.0, "at least 0");
    case SettingRange::kPositive:
      return require(value > 0.0, "above 0");
    case SettingRange::kFraction:
      return require(value >= 0.0 && value < 1.0, "in [0, 1)");
    case SettingRange::kPositiveFraction:
      return require(value > 0.0 && value < 1.0, "in (0, 1)");
    case SettingRange::kFlag:
      return require(value == 0.0 || value == 1.0, "0 or 1");
  }
}

std::vector<Setting> settings_of(const OptimizerInfo& info) {
  std::vector<Setting> all(info.settings.begin(), info.settings.end());
  all.push_back({kStepLrFactor, info.adaptive ? 10.0 : 1.0, SettingRange::kNonNegative});
  all.push_back({kStepWeightDecay, 0.0, SettingRange::kNonNegative});
  return all;
}

}  // namespace

double Settings::at(std::string_view name) const {
  const auto it = values.find(name);
  GS_CHECK(it != values.end(), "optimizer setting '{}' was not resolved", name);
  return it->second;
}

const std::vector<OptimizerInfo>& all_optimizers() {
  static const std::vector<OptimizerInfo> infos = [] {
    std::vector<OptimizerInfo> list;
    list.reserve(kRules);
    for (int rule = 0; rule < kRules; ++rule) list.push_back(entry(rule).info);
    return list;
  }();
  return infos;
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const OptimizerInfo& info : all_optimizers()) names.emplace_back(info.name);
  return names;
}

int find_optimizer(std::string_view name) {
  for (int rule = 0; rule < kRules; ++rule) {
    if (entry(rule).info.name == name) return rule;
  }
  const std::vector<std::string> names = optimizer_names();
  fail<ConfigError>("no optimizer is called '{}'{}; there are: {}", name, did_you_mean(name, names), join(names));
}

Settings resolve_settings(int rule, const std::map<std::string, double, std::less<>>& given) {
  const OptimizerInfo& info = entry(rule).info;
  Settings resolved;
  std::vector<std::string> names;
  const std::vector<Setting> known = settings_of(info);
  for (const Setting& setting : known) {
    const auto it = given.find(setting.name);
    const double value = it == given.end() ? setting.value : it->second;
    check_range(info.name, setting.name, value, setting.range);
    resolved.values.emplace(setting.name, value);
    names.emplace_back(setting.name);
  }
  for (const auto& [name, value] : given) {
    if (resolved.values.count(name) == 0) {
      fail<ConfigError>("optimizer '{}' has no setting '{}'{}; it has: {}", info.name, name, did_you_mean(name, names),
                        join(names));
    }
  }
  return resolved;
}

int slots_in_use(int rule, const Settings& settings) {
  StepParams params;
  prepare_step(rule, settings, 1, 0.0, params);
  return entry(rule).slots_in_use(params);
}

void prepare_step(int rule, const Settings& settings, std::int64_t step, double lr, StepParams& params,
                  std::int64_t uncalibrated) {
  GS_CHECK(step >= 1 && step <= 0xffffffffLL, "optimizer step {} is out of range (they count from 1)", step);
  GS_CHECK(uncalibrated >= 0 && uncalibrated < step, "of {} steps, {} cannot lie before calibration", step,
           uncalibrated);
  params.rule = rule;
  params.step = static_cast<std::uint32_t>(step);
  params.step_lr_factor = static_cast<float>(settings.at(kStepLrFactor));
  params.step_weight_decay = static_cast<float>(settings.at(kStepWeightDecay));
  StepParams of_steps;
  entry(rule).prepare(settings, step - uncalibrated, lr, of_steps);
  std::copy(std::begin(of_steps.hyper), std::end(of_steps.hyper), std::begin(params.step_hyper));
  for (float& value : params.hyper) value = 0.0f;
  entry(rule).prepare(settings, step, lr, params);
}

}  // namespace gridstep
