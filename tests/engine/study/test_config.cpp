#include <functional>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "engine/study/config.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "engine/study/optimizer_config.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

// The message of the ConfigError that `act` must throw.
std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& e) {
    CHECK(e.exit_code() == 2);
    return e.what();
  }
  FAIL("nothing was refused");
  return {};
}

std::string refused(const std::string& toml) {
  return refusal([&] { parse_study(toml, "a.toml"); });
}

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

std::string in_tables(const std::string& key, const std::string& value) {
  const auto dot = key.find('.');
  return "[" + key.substr(0, dot) + "]\n" + key.substr(dot + 1) + " = " + value + "\n";
}

std::string some_value(const KeyInfo& key) {
  return std::holds_alternative<std::monostate>(key.fallback) ? std::string("1.0") : value_toml(key.fallback);
}

}  // namespace

TEST_CASE("the schema is consistent", "[study]") {
  std::set<std::string> names;
  for (const auto& key : schema()) {
    INFO(key.name);
    CHECK(names.insert(key.name).second);
    CHECK(key.name.find('.') != std::string::npos);
    CHECK_FALSE(key.help.empty());
    CHECK_NOTHROW(checked_value(key, key.fallback, "test"));
  }
}

TEST_CASE("every setting of every optimizer has a key", "[study]") {
  for (const auto& info : all_optimizers()) {
    for (const auto& setting : info.settings) {
      const std::string key = setting_key(info, setting.name);
      INFO(info.name << " " << key);
      CHECK(find_key(key) != nullptr);
    }
  }
}

TEST_CASE("every misspelt key is refused with its nearest match", "[study]") {
  for (const auto& key : schema()) {
    const std::string wrong = key.name + "x";
    if (find_key(wrong) != nullptr) continue;
    const std::string hint = "(did you mean '" + key.name + "'?)";
    const std::string in_file = refused("\n" + in_tables(wrong, some_value(key)));
    has(in_file, "a.toml:3: unknown key '" + wrong + "' " + hint);
    Study study;
    has(refusal([&] { apply_set(study, wrong + "=1"); }), "unknown key '" + wrong + "' " + hint);
    if (key.can_be_axis())
      has(refused("[grid]\n" + wrong + " = [1]\n"), "a.toml:2: [grid] names the unknown key '" + wrong);
  }
}

TEST_CASE("a key without its table is recognized", "[study]") {
  CHECK(suggest_key("weight_bits") == " (did you mean 'quant.weight_bits'?)");
  CHECK(suggest_key("quant.epochs") == " (did you mean 'train.epochs'?)");
  CHECK(suggest_key("utterly.different").empty());
}

TEST_CASE("unknown tables and optimizers are refused", "[study]") {
  has(refused("[quantt]\n"), "unknown table [quantt] (did you mean 'quant'?)");
  has(refused("[rates]\nadamm = 1\n"), "(did you mean 'adam'?)");
  has(refused("[tune]\npoint = 3\n"), "unknown key 'tune.point' (did you mean 'tune.points'?)");
  has(refused("seed = 3\n"), "(did you mean 'train.seed'?)");
}

TEST_CASE("values out of range or of another type are refused", "[study]") {
  for (const auto& [toml, expected] : std::vector<std::pair<std::string, std::string>>{
           {"[quant]\nweight_bits = 9\n", "a.toml:2: quant.weight_bits = 9: expected a whole number, 2 to 8 or 32"},
           {"[quant]\nweight_bits = 1\n", "2 to 8 or 32"},
           {"[quant]\nweight_bits = \"8\"\n", "quant.weight_bits = \"8\""},
           {"[quant]\nweight_bits = 8.0\n", "expected a whole number"},
           {"[model]\nscale = 5\n", "2 to 4"},
           {"[optim]\nlr = -1\n", "optim.lr = -1"},
           {"[optim]\nlr = nan\n", "expected a number"},
           {"[optim]\nbeta1 = 1.0\n", "in [0, 1)"},
           {"[optim]\nname = \"adan\"\n", "one of adam, adamw"},
           {"[quant]\nper_channel = 1\n", "true or false"},
           {"[schedule]\nmilestones = [0]\n", "1 to 1000000000"},
           {"[schedule]\nmilestones = [1.5]\n", "no key takes such a value"},
           {"[train]\nepochs = 99999999999999999999\n", "TOML"},
           {"[grid]\ntrain.seed = 3\n", "expected a list of values"},
           {"[grid]\ntrain.seed = []\n", "has no values"},
           {"[grid]\ntrain.seed = [1, 1]\n", "holds 1 twice"},
           {"[grid]\nrun.threads = [1, 2]\n", "cannot be a grid axis"},
           {"[grid]\nstudy.name = [\"a\"]\n", "cannot be a grid axis"},
           {"[train]\nseed = 3\n[grid]\ntrain.seed = [1]\n", "is a grid axis too"},
           {"[rates]\nadam = 0\n", "a number above 0"},
           {"[tune]\nrates = \"automatic\"\n", "\"auto\""},
           {"[tune]\nseeds = []\n", "at least one"},
           {"[quant\n", "a.toml:1:"}}) {
    INFO(toml);
    has(refused(toml), expected);
  }
}

TEST_CASE("JSON studies are read like TOML ones", "[study]") {
  const Study json = parse_study(
      R"({"quant": {"weight_bits": 4}, "grid": {"train.seed": [0, 1]}, "rates": {"adam": 0.01}})", "a.json");
  const Study toml =
      parse_study("[quant]\nweight_bits = 4\n[grid]\ntrain.seed = [0, 1]\n[rates]\nadam = 0.01\n", "a.toml");
  CHECK(json == toml);
  has(refusal([] { parse_study("{\"quant\": ", "a.json"); }), "a.json: this is not valid JSON");
  has(refusal([] { parse_study(R"({"quant": {"wait_bits": 4}})", "a.json"); }), "did you mean 'quant.weight_bits'");
}

TEST_CASE("a key is set once, however it is written", "[study]") {
  has(refused(R"({"train": {"seed": 1, "seed": 2}})"), "names 'seed' twice");
  has(refused(R"({"train": {"seed": 1}, "train.seed": 2})"), "'train.seed' is set twice");
  has(refused("\"train.seed\" = 1\n[train]\nseed = 2\n"), "a.toml:3: 'train.seed' is set twice");
  CHECK_NOTHROW(parse_study("# ... " + std::string(300, '.') + "\n[train]\nseed = 1 # 1.2.3\n", "a.toml"));
}

TEST_CASE("a study nested without end is refused", "[study]") {
  std::string objects, arrays = R"({"data": {"size": )" + std::string(200000, '['), parts = "[a", tables = "x = 1\na";
  for (int i = 0; i < 200000; ++i) objects += "{\"a\":";
  for (int i = 0; i < 200000; ++i) parts += ".a", tables += " . a";
  has(refused(objects), "nested deeper");
  has(refused(arrays), "nested deeper");
  has(refused(parts + "]\nb = 1\n"), "a.toml:1: a key of more than 100 parts");
  has(refused(tables + " = 1\n"), "a.toml:2: a key of more than 100 parts");
  std::string quoted, escaped;  // what ends a key elsewhere does not within quotes
  for (int i = 0; i < 200; ++i) {
    quoted += "\"=#\".'{'.";
    escaped += "\"\\\"=\".";
  }
  has(refused(quoted + "a = 1\n"), "a key of more than 100 parts");
  has(refused(escaped + "a = 1\n"), "a key of more than 100 parts");
  CHECK_NOTHROW(
      parse_study("# " + std::string(300, '.') + "\n[study]\nname = \"" + std::string(101, '.') + "\"\n", "a.toml"));
  has(refused("a = " + std::string(200000, '[')), "not valid TOML");
}

TEST_CASE("an argument of --set that is not UTF-8 is refused as any other", "[study]") {
  Study study;
  for (const char* argument : {"rates.adam=\xff", "tune.points=\xff", "tune.rates.adam=\xff", "tune.rates=\xff"})
    has(refusal([&] { apply_set(study, argument); }), "expected");
}

TEST_CASE("origins say where a value came from", "[study]") {
  Study study = parse_study("[optim]\nlr = 0.01\n\n[train]\nepochs = 3\n", "a.toml");
  CHECK(study.base.origin("optim.lr") == "a.toml:2");
  CHECK(study.base.origin("train.epochs") == "a.toml:5");
  CHECK(study.base.origin("train.batch") == "default");
  CHECK_FALSE(study.base.is_explicit("train.batch"));
  apply_set(study, "train.batch=32");
  CHECK(study.base.get_int("train.batch") == 32);
  CHECK(study.base.origin("train.batch") == "--set train.batch=32");
  CHECK(study.base.get_string("study.name") == "a");
}

TEST_CASE("unset optimizer settings stay unset", "[study]") {
  Config config;
  CHECK_FALSE(config.find_float("optim.beta1"));
  CHECK_THROWS_AS(config.get_float("optim.beta1"), Error);
  config.set_text("optim.beta1", "0.5", "test");
  CHECK(*config.find_float("optim.beta1") == 0.5);
  CHECK_THROWS_AS(config.get_int("optim.beta1"), Error);
  CHECK_THROWS_AS(config.get_int("no.such"), Error);
  CHECK(optimizer_settings(config).at("beta1") == 0.5);
  CHECK(optimizer_settings(config).at("beta2") == 0.999);
  CHECK(optimizer_settings(config).at("step_lr_factor") == 10);
}

TEST_CASE("set takes axes, rates and tuning", "[study]") {
  Study study = parse_study("[grid]\ntrain.seed = [0, 1, 2]\n", "a.toml");
  apply_set(study, "grid.optim.name=adam,sgd");
  apply_set(study, "grid.schedule.milestones=[[2,4],[3]]");
  apply_set(study, "grid.quant.weight_bits=[8, 4]");
  apply_set(study, "rates.sgd=0.1");
  apply_set(study, "tune.points=5");
  REQUIRE(study.axes.size() == 4);
  CHECK(study.find_axis("optim.name")->values.size() == 2);
  CHECK(study.find_axis("schedule.milestones")->values[0] == Value(std::vector<std::int64_t>{2, 4}));
  CHECK(study.find_axis("quant.weight_bits")->values[1] == Value(std::int64_t{4}));
  CHECK(study.rates.at("sgd") == 0.1);
  CHECK(study.tune.points == 5);
  apply_set(study, "train.seed=7");
  CHECK(study.find_axis("train.seed") == nullptr);
  CHECK(study.base.get_int("train.seed") == 7);
  has(refusal([&] { apply_set(study, "train.seed"); }), "expected key=value");
  has(refusal([&] { apply_set(study, "train.seed=seven"); }), "expected a whole number");
}

TEST_CASE("a resolved study reads back equal", "[study]") {
  CHECK(parse_study(to_toml(Study{}), "") == Study{});
  Study study = parse_study(
      "[data]\nroot = \"a \\\"b\\\" \\\\ c\\t\u00e9\"\nname = \"div2k\"\n[optim]\nbeta2 = 0.9999999\nlr = 1e-7\n"
      "[schedule]\nname = \"multistep\"\n[grid]\noptim.name = [\"adam\", \"lion\"]\nschedule.milestones = [[2, 4], "
      "[3]]\n"
      "quant.per_channel = [true, false]\ntrain.seed = [3, 1]\n[rates]\nadam = 0.0123456789012345\n[tune]\nseeds = [5, "
      "6]\n"
      "[tune.rates]\nadam = [1e-3, 1e-2]\nlion = [1e-4, 1e-3]\n",
      "s.toml");
  const Study again = parse_study(to_toml(study), "t.toml");
  CHECK(again == study);
  CHECK(to_toml(again) == to_toml(study));
  CHECK(study_identity(again) == study_identity(study));
  apply_set(study, "optim.beta2=0.5");
  CHECK_FALSE(again == study);
}

TEST_CASE("identity leaves out how to run", "[study]") {
  Study a = parse_study("[rates]\nadam = 0.001\nlion = 0.1\n", "a.toml");
  Study b = a;
  for (const char* set :
       {"run.threads=7", "run.device=cpu", "train.replicas=3", "data.cache=/c", "rates.lion=0.2", "tune.points=3"}) {
    apply_set(b, set);
  }
  CHECK(study_identity(a) == study_identity(b));
  apply_set(b, "rates.adam=0.002");
  CHECK(study_identity(a) != study_identity(b));
}
