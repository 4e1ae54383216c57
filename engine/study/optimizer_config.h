// From the keys optim.* and quant.step_* to the settings of the optimizer registry.
#pragma once

#include <string>
#include <string_view>

#include "engine/study/config.h"
#include "optim/registry.h"

namespace gridstep {

// The key of one of the optimizer's own settings: "optim." and its name. Those of adaptive clipping stand apart
// (optim.agc_clip, optim.agc_eps), as optim.eps of a study's other optimizers is another quantity.
std::string setting_key(const OptimizerInfo& info, std::string_view setting);

// All settings of the config's optimizer: set keys over the optimizer's defaults, quant.step_lr_factor (0: its default)
// and quant.step_weight_decay among them. Throws ConfigError for a value its optimizer refuses.
Settings optimizer_settings(const Config& config);

}  // namespace gridstep
