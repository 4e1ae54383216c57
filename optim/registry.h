// The optimizers that exist. To add one: its header, its place in AllOptimizers, its row of golden values
// (tests/golden/optim).
#pragma once

#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "optim/adadelta.h"
#include "optim/adagrad.h"
#include "optim/adam.h"
#include "optim/adamw.h"
#include "optim/agc_sgd.h"
#include "optim/lion.h"
#include "optim/nesterov.h"
#include "optim/rmsprop.h"
#include "optim/rule.h"
#include "optim/sgd.h"
#include "optim/sgd_clip.h"

namespace gridstep {

// StepParams::rule is an index into this list.
using AllOptimizers = std::tuple<Adam, AdamW, RmsProp, Adagrad, Adadelta, Sgd, Nesterov, Lion, SgdClip, AgcSgd>;

struct OptimizerInfo {
  std::string_view name;
  int slots;      // at most; see slots_in_use
  bool adaptive;  // default step_lr_factor: 10 if adaptive, else 1
  Norms norms;
  double default_lr;
  std::span<const Setting> settings;  // its own, with defaults
};

const std::vector<OptimizerInfo>& all_optimizers();
std::vector<std::string> optimizer_names();

// Index of the optimizer of that name; throws ConfigError that lists the names and the nearest match.
int find_optimizer(std::string_view name);

// Defaults of the rule overridden by `given`, with these common to all rules besides its own:
//   step_lr_factor (10 or 1, see OptimizerInfo::adaptive), step_weight_decay (0).
// Throws ConfigError for a setting the rule does not use, or a value out of range.
Settings resolve_settings(int rule, const std::map<std::string, double, std::less<>>& given = {});

// State arrays the rule needs under these settings (sgd without momentum: 0).
int slots_in_use(int rule, const Settings& settings);

// Fills rule, step, lr, weight_decay, step_lr_factor, step_weight_decay, hyper and step_hyper; leaves seed, epoch and
// first_sample alone. `step` counts from 1; `lr` is the scheduled rate (engine/train/schedule.h). `uncalibrated` steps
// lay before calibration: corrections for slots that start at zero count the updates of quantizer steps from there.
void prepare_step(int rule, const Settings& settings, std::int64_t step, double lr, StepParams& params,
                  std::int64_t uncalibrated = 0);

}  // namespace gridstep
