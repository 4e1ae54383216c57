#include <set>

#include "engine/base/error.h"
#include "optim/registry.h"
#include "tests/support/catch.h"

namespace gridstep::test {

using Catch::Matchers::Contains;

TEST_CASE("the ten optimizers are found by name", "[optim][registry]") {
  const std::vector<std::string> want = {"adam", "adamw",    "rmsprop", "adagrad",  "adadelta",
                                         "sgd",  "nesterov", "lion",    "sgd_clip", "agc_sgd"};
  CHECK(optimizer_names() == want);
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(find_optimizer(want[i]) == static_cast<int>(i));
  CHECK_THROWS_AS(find_optimizer("adamm"), ConfigError);
  CHECK_THROWS_WITH(find_optimizer("nestrov"), Contains("did you mean 'nesterov'") && Contains("agc_sgd"));
  CHECK_THROWS_AS(find_optimizer(""), ConfigError);
}

TEST_CASE("settings are complete, unknown ones are refused by name", "[optim][registry]") {
  for (int rule = 0; rule < static_cast<int>(all_optimizers().size()); ++rule) {
    const OptimizerInfo& info = all_optimizers()[static_cast<std::size_t>(rule)];
    INFO(info.name);
    const Settings settings = resolve_settings(rule);
    CHECK(settings.values.size() == info.settings.size() + 2);
    CHECK(settings.at("step_lr_factor") == (info.adaptive ? 10.0 : 1.0));
    CHECK(settings.at("step_weight_decay") == 0.0);
    CHECK(settings.at("weight_decay") == (info.name == "adamw" ? 0.01 : 0.0));
    CHECK(info.default_lr > 0.0);
    CHECK_THROWS_WITH(resolve_settings(rule, {{"weight_decoy", 0.1}}), Contains("did you mean 'weight_decay'"));
    CHECK_THROWS_AS(resolve_settings(rule, {{"weight_decay", -0.1}}), ConfigError);
    CHECK_THROWS_AS(resolve_settings(rule, {{"weight_decay", NAN}}), ConfigError);
  }
}

TEST_CASE("settings out of range are refused", "[optim][registry]") {
  const auto refused = [](std::string_view name, const char* setting, double value) {
    CHECK_THROWS_AS(resolve_settings(find_optimizer(name), {{setting, value}}), ConfigError);
  };
  refused("adam", "beta1", 1.0);
  refused("adam", "beta2", -0.1);
  refused("adam", "momentum", 0.9);
  refused("rmsprop", "centered", 0.5);
  refused("adadelta", "eps", 0.0);
  refused("nesterov", "momentum", 0.0);
  refused("nesterov", "dampening", 0.1);
  refused("sgd_clip", "max_norm", 0.0);
  refused("agc_sgd", "clipping", HUGE_VAL);
  CHECK(resolve_settings(find_optimizer("adam"), {{"beta1", 0.0}}).at("beta1") == 0.0);
}

TEST_CASE("slots depend on the settings", "[optim][registry]") {
  const auto slots = [](std::string_view name, const std::map<std::string, double, std::less<>>& given = {}) {
    const int rule = find_optimizer(name);
    return slots_in_use(rule, resolve_settings(rule, given));
  };
  CHECK(slots("adam") == 2);
  CHECK(slots("sgd") == 0);
  CHECK(slots("sgd", {{"momentum", 0.9}}) == 1);
  CHECK(slots("sgd_clip", {{"momentum", 0.9}}) == 1);
  CHECK(slots("agc_sgd") == 0);
  CHECK(slots("nesterov") == 1);
  CHECK(slots("rmsprop") == 1);
  CHECK(slots("rmsprop", {{"momentum", 0.9}}) == 2);
  CHECK(slots("rmsprop", {{"centered", 1}}) == 3);
  for (const OptimizerInfo& info : all_optimizers()) CHECK(slots(info.name) <= info.slots);
}

TEST_CASE("prepare_step fills what belongs to the optimizer and nothing else", "[optim][registry]") {
  const int rule = find_optimizer("adamw");
  StepParams p;
  p.seed = 5;
  p.epoch = 6;
  p.first_sample = 7;
  prepare_step(rule, resolve_settings(rule, {{"step_weight_decay", 0.25}}), 11, 0.5, p);
  CHECK(p.seed == 5);
  CHECK(p.epoch == 6);
  CHECK(p.first_sample == 7);
  CHECK(p.rule == rule);
  CHECK(p.step == 11);
  CHECK(p.lr == 0.5f);
  CHECK(p.weight_decay == 0.01f);
  CHECK(p.step_lr_factor == 10.0f);
  CHECK(p.step_weight_decay == 0.25f);
  for (int i = 0; i < kHyper; ++i) CHECK(p.step_hyper[i] == p.hyper[i]);
  CHECK_THROWS_AS(prepare_step(rule, resolve_settings(rule), 0, 0.5, p), Error);
}

TEST_CASE("corrections of quantizer steps count from calibration", "[optim][registry]") {
  for (const OptimizerInfo& info : all_optimizers()) {
    const int rule = find_optimizer(info.name);
    StepParams late, first, eleventh;
    prepare_step(rule, resolve_settings(rule), 11, 0.5, late, 10);
    prepare_step(rule, resolve_settings(rule), 1, 0.5, first);
    prepare_step(rule, resolve_settings(rule), 11, 0.5, eleventh);
    INFO(info.name);
    for (int i = 0; i < kHyper; ++i) {
      CHECK(late.hyper[i] == eleventh.hyper[i]);
      CHECK(late.step_hyper[i] == first.hyper[i]);
    }
  }
}

}  // namespace gridstep::test
