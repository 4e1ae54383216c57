// gridstep study NAME|FILE, gridstep train MODEL.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/gridstep/commands.h"
#include "data/photo_files.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"
#include "engine/study/grid.h"
#include "engine/study/shipped.h"
#include "engine/study/study.h"
#include "engine/study/tune.h"

namespace gridstep {
namespace {

// A flag that stands for a schema key.
struct KeyFlag {
  std::string option;
  std::string key;
  std::string text;
};

// What study and train share. Options left out change nothing.
struct StudyArgs {
  std::string name;  // study: NAME or FILE; train: MODEL
  std::string out;
  std::optional<std::int64_t> seeds;
  std::vector<KeyFlag> flags;
  std::vector<std::string> assignments;  // --set
  std::string bits;
  bool resume = false;
  bool strict = false;
  bool dry_run = false;
  bool tune = false;
  bool list_keys = false;
};

// --- options ---

// A flag that stands for a schema key: "--epochs 6" is --set train.epochs=6.
void add_key_option(CLI::App& command, StudyArgs& args, const std::string& option, const std::string& key,
                    const std::string& type) {
  const KeyInfo* info = find_key(key);
  GS_CHECK(info != nullptr, "option {} stands for the unknown key {}", option, key);
  command
      .add_option_function<std::string>(
          option,
          [&args, option, key](const std::string& text) {
            args.flags.push_back({option, key, text});
          },
          info->help)
      ->type_name(type);
}

void add_common_options(CLI::App& command, StudyArgs& args) {
  add_key_option(command, args, "--data", "data.root", "DIR");
  command.add_option("--out", args.out, "run folder (default: runs/<study>)")->type_name("DIR");
  add_key_option(command, args, "--device", "run.device", "auto|cpu|cuda");
  add_key_option(command, args, "--epochs", "train.epochs", "N");
  add_key_option(command, args, "--threads", "run.threads", "N");
  add_key_option(command, args, "--fuse", "run.fuse", "all|none");
  add_key_option(command, args, "--arithmetic", "quant.arithmetic", "codes|float");
  command.add_option("--seeds", args.seeds, "seeds 0 to N-1 instead of the study's")->type_name("N");
  command.add_option("--set", args.assignments, "any key, as in --set quant.weight_bits=4; axes: --set grid.KEY=a,b,c")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--resume", args.resume, "continue what is in the run folder; start where nothing is");
  command.add_flag("--strict", args.strict, "exit 6 when a row of the table does not beat the floor");
  command.add_flag("--dry-run", args.dry_run, "say what would be trained, and stop");
}

// --- from arguments to a study ---

Study find_study(const std::string& name) {
  if (const auto text = shipped_study(name)) return parse_study(*text, name + ".toml");
  std::error_code ignored;
  const fs::path path(name);
  const bool is_path = path.has_parent_path() || path.extension() == ".toml" || path.extension() == ".json";
  if (is_path || fs::exists(path, ignored)) return load_study(path);
  const auto names = shipped_study_names();
  fail<ConfigError>("no study is called '{}'{}: there are {}, and any file.toml", name, did_you_mean(name, names),
                    join(names));
}

// A folder given and no data set named.
void name_data_set(Study& study) {
  const bool has_root = study.base.is_explicit("data.root") || study.find_axis("data.root") != nullptr;
  if (!has_root || study.base.is_explicit("data.name") || study.find_axis("data.name") != nullptr) return;
  const fs::path root = study.base.get_string("data.root");
  const std::string classes = is_folder(root / "train") ? "image_folder" : "cifar10";
  study.base.set("data.name", task_of(study.base) == Task::kClassification ? classes : photo_data_set(root), "--data");
}

void apply_options(Study& study, const StudyArgs& args) {
  for (const auto& [option, key, text] : args.flags) {
    study.pin(key, parse_value(*find_key(key), text, option), option);
  }
  if (args.seeds) {
    for (const KeyFlag& flag : args.flags)
      if (flag.key == "train.seed")
        fail<ConfigError>("{} {} beside --seeds {}: give one of them", flag.option, flag.text, *args.seeds);
    constexpr std::int64_t kMaxSeeds = 10000;
    if (*args.seeds < 1 || *args.seeds > kMaxSeeds) {
      fail<ConfigError>("--seeds {}: expected a number of seeds, 1 to {}", *args.seeds, kMaxSeeds);
    }
    Axis axis{"train.seed", {}, "--seeds"};
    for (std::int64_t seed = 0; seed < *args.seeds; ++seed) axis.values.emplace_back(seed);
    study.set_axis(std::move(axis));
  }
  for (const auto& assignment : args.assignments) apply_set(study, assignment);
  name_data_set(study);
}

void apply_bits(Study& study, const std::string& text) {
  const std::string origin = "--bits " + text;
  const Bits bits = parse_bits(text);
  if (bits.weights == 32 && bits.activations == 32) {
    study.pin("quant.quantizer", std::string("none"), origin);
    return;
  }
  study.pin("quant.weight_bits", bits.weights, origin);
  study.pin("quant.activation_bits", bits.activations, origin);
}

// A training is a study of one cell. Its rates are those of the model's shipped study, unless --lr is given.
Study train_study(const StudyArgs& args) {
  Study study;
  const std::string reference = fmt::format("optimizers-{}-{}", args.name, args.name == "espcn" ? "div2k" : "dogs");
  if (const auto text = shipped_study(reference)) study.rates = parse_study(*text, reference + ".toml").rates;
  study.pin("model.name", parse_value(*find_key("model.name"), args.name, "train MODEL"), "train MODEL");
  if (!args.bits.empty()) apply_bits(study, args.bits);
  apply_options(study, args);
  if (!study.base.is_explicit("data.name") && study.find_axis("data.name") == nullptr)
    log_info("data: no --data and no --dataset given, so the images are generated");
  if (!study.base.is_explicit("study.name")) {
    const std::string first = expand_cells(study).front().name;
    const std::string bits =
        study.base.get_string("quant.quantizer") == "none"
            ? "float"
            : fmt::format("w{}a{}", study.base.text("quant.weight_bits"), study.base.text("quant.activation_bits"));
    study.base.set("study.name",
                   fmt::format("{}{}-{}-{}", args.name,
                               task_of(study.base) == Task::kSuperResolution ? "-x" + study.base.text("model.scale")
                                                                             : std::string(),
                               bits, study.axes.empty() ? first : study.base.get_string("optim.name")),
                   "train");
  }
  return study;
}

// --- running ---

void run_tuning(const Study& study, CellRunner& runner, const RunOptions& options) {
  const TuneReport report = tune_rates(study, runner, options);
  fmt::print("{}\n{} cells trained; everything is in {}\n", report.table, report.trained, report.folder.string());
  std::fflush(stdout);
  if (!report.failure.empty())
    fail("cells failed, the first is {}: the rates are not final; --resume tries them again", report.failure);
}

void run_training(const Study& study, CellRunner& runner, const RunOptions& options, bool strict) {
  const StudyReport report = run_study(study, runner, options);
  fmt::print("{}\n", report.table);
  if (report.trained == 0) {
    fmt::print("Finished before, shown again. {}/\n", report.folder.string());
  } else {
    fmt::print("{} of {} cells trained now. {}/\n", report.trained, report.cells.size(), report.folder.string());
  }
  std::fflush(stdout);
  check_report(report, strict);
}

void run_command(const StudyArgs& args, const Study& study) {
  // Refuses a mistake before a device is touched.
  const std::vector<Cell> cells = args.tune ? first_tuning_cells(study) : expand_cells(study);
  const auto runner = make_runner(study.base);
  RunOptions options;
  options.folder = args.out.empty() ? fs::path("runs") / study.base.get_string("study.name") : fs::path(args.out);
  options.resume = args.resume;
  if (args.dry_run) {
    fmt::print("{}", args.tune ? tuning_plan_text(study, *runner) : plan_text(study, cells, *runner));
  } else if (args.tune) {
    run_tuning(study, *runner, options);
  } else {
    run_training(study, *runner, options, args.strict);
  }
}

void print_keys() {
  for (const auto& key : schema()) {
    const std::string fallback = value_text(key.fallback);
    const std::string allowed = key.allowed();
    fmt::print("{:<28} {:<12} {}{}{}{}\n", key.name, fallback.empty() ? "\"\"" : fallback, key.help,
               allowed.empty() ? "" : " (", allowed, allowed.empty() ? "" : ")");
  }
}

void add_study(CLI::App& app) {
  auto args = std::make_shared<StudyArgs>();
  CLI::App* command = app.add_subcommand("study", "Train a grid under equal conditions and print an honest table");
  command
      ->add_option("study", args->name, "shipped study (" + join(shipped_study_names()) + ") or a .toml or .json file")
      ->type_name("NAME|FILE");
  add_common_options(*command, *args);
  command->add_flag("--tune", args->tune, "search the learning rates of [tune] instead");
  command->add_flag("--keys", args->list_keys, "list every key with its default, and stop");
  command->callback([args] {
    if (args->list_keys) return print_keys();
    if (args->name.empty()) fail<ConfigError>("study NAME|FILE: there are {}", join(shipped_study_names()));
    Study study = find_study(args->name);
    apply_options(study, *args);
    run_command(*args, study);
  });
}

void add_train(CLI::App& app) {
  auto args = std::make_shared<StudyArgs>();
  CLI::App* command = app.add_subcommand("train", "Train one network: a study of one cell");
  command->add_option("model", args->name, "network")->required()->type_name("MODEL");
  command->add_option("--bits", args->bits, "weight and activation bits, or float")->type_name("W,A");
  add_key_option(*command, *args, "--optimizer", "optim.name", "NAME");
  add_key_option(*command, *args, "--lr", "optim.lr", "RATE");
  add_key_option(*command, *args, "--scale", "model.scale", "2|3|4");
  add_key_option(*command, *args, "--patch", "train.patch", "PIXELS");
  add_key_option(*command, *args, "--batch", "train.batch", "N");
  add_key_option(*command, *args, "--loss", "train.loss", "mse|l1|charbonnier");
  add_key_option(*command, *args, "--seed", "train.seed", "N");
  add_key_option(*command, *args, "--dataset", "data.name", "NAME");
  add_key_option(*command, *args, "--init", "train.init", "FILE");
  add_common_options(*command, *args);
  command->callback([args] { run_command(*args, train_study(*args)); });
}

}  // namespace

Bits parse_bits(const std::string& text) {
  const std::string origin = "--bits " + text;
  if (text == "float" || text == "32") return {32, 32};
  const auto comma = text.find(',');
  if (comma == std::string::npos) {
    fail<ConfigError>("{}: expected weight and activation bits, as in --bits 8,8, or float", origin);
  }
  const auto bits = [&](const char* key, const std::string& part) {
    return std::get<std::int64_t>(parse_value(*find_key(key), part, origin));
  };
  return {bits("quant.weight_bits", text.substr(0, comma)), bits("quant.activation_bits", text.substr(comma + 1))};
}

void add_study_commands(CLI::App& app) {
  add_study(app);
  add_train(app);
}

}  // namespace gridstep
