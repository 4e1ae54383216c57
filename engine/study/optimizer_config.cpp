#include "engine/study/optimizer_config.h"

#include <fmt/format.h>

namespace gridstep {

std::string setting_key(const OptimizerInfo& info, std::string_view setting) {
  if (info.norms == Norms::kUnits && setting == "clipping") return "optim.agc_clip";
  if (info.norms == Norms::kUnits && setting == "eps") return "optim.agc_eps";
  return fmt::format("optim.{}", setting);
}

Settings optimizer_settings(const Config& config) {
  const int rule = find_optimizer(config.get_string("optim.name"));
  const OptimizerInfo& info = all_optimizers()[static_cast<std::size_t>(rule)];
  std::map<std::string, double, std::less<>> given;
  for (const Setting& setting : info.settings) {
    const std::string key = setting_key(info, setting.name);
    if (setting.range == SettingRange::kFlag) {
      if (const auto flag = config.find_bool(key)) given.emplace(setting.name, *flag ? 1.0 : 0.0);
    } else if (const auto number = config.find_float(key)) {
      given.emplace(setting.name, *number);
    }
  }
  if (const double factor = config.get_float("quant.step_lr_factor"); factor > 0)
    given.emplace("step_lr_factor", factor);
  given.emplace("step_weight_decay", config.get_float("quant.step_weight_decay"));
  return resolve_settings(rule, given);
}

}  // namespace gridstep
