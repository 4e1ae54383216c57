// Combinations of keys: those that cannot work, and those that would be ignored.
#include <algorithm>
#include <functional>
#include <iterator>
#include <map>

#include "engine/base/error.h"
#include "engine/base/layer_rules.h"
#include "engine/base/names.h"
#include "engine/base/normalization.h"
#include "engine/study/grid.h"
#include "engine/study/optimizer_config.h"
#include "engine/study/training_phases.h"

namespace gridstep {
namespace {

// Does `config` read this key at all? `why` says what it depends on, for the message.
struct Use {
  std::function<bool(const Config&)> used;
  std::string why;
};

std::function<bool(const Config&)> when(std::string key, std::vector<std::string> values) {
  return [key = std::move(key), values = std::move(values)](const Config& config) {
    return std::find(values.begin(), values.end(), config.text(key)) != values.end();
  };
}

bool takes_key(const OptimizerInfo& info, std::string_view key) {
  return std::any_of(info.settings.begin(), info.settings.end(),
                     [&](const Setting& setting) { return setting_key(info, setting.name) == key; });
}

Use optimizer_use(std::string_view key) {
  std::vector<std::string> users;
  for (const auto& info : all_optimizers()) {
    if (takes_key(info, key)) users.emplace_back(info.name);
  }
  return {when("optim.name", users), "only " + join(users) + (users.size() == 1 ? " uses it" : " use it")};
}

bool quantizes_weights(const Config& c) {
  const auto rules = parse_layer_rules(c.get_string("quant.layers"));
  return c.get_int("quant.weight_bits") != 32 ||
         std::any_of(rules.begin(), rules.end(), [](const LayerRule& r) { return r.weight_bits != 32; });
}

Use quant_use(std::string_view leaf) {
  if (leaf == "weight_bits" || leaf == "activation_bits" || leaf == "layers") {
    return {[](const Config& c) { return c.get_string("quant.quantizer") != "none"; }, "quant.quantizer = none"};
  }
  if (leaf == "progressive") {
    return {[](const Config& c) {
              return quantizes(c) && c.get_int("quant.weight_bits") != 32 && c.get_int("quant.activation_bits") != 32;
            },
            "it leads to the bits of weights and activations, and one of them is float"};
  }
  if (leaf == "weight_range" || leaf == "per_channel") {
    return {[](const Config& c) { return quantizes(c) && quantizes_weights(c); }, "weights are not quantized"};
  }
  return {quantizes, "nothing is quantized (quant.quantizer = none, or 32 bits for weights and activations)"};
}

Use schedule_use(std::string_view leaf) {
  if (leaf == "gamma")
    return {when("schedule.name", {"step", "multistep"}), "only schedules step and multistep use it"};
  if (leaf == "step_epochs") return {when("schedule.name", {"step"}), "only schedule step uses it"};
  if (leaf == "milestones") return {when("schedule.name", {"multistep"}), "only schedule multistep uses it"};
  return {when("schedule.name", {"cosine"}), "only schedule cosine uses it"};
}

// Keys that concern one task only.
const std::map<std::string_view, Task>& task_keys() {
  constexpr Task kSr = Task::kSuperResolution, kClass = Task::kClassification;
  static const std::map<std::string_view, Task> keys{
      {"model.scale", kSr},
      {"model.activation", kSr},
      {"train.patch", kSr},
      {"train.loss", kSr},
      {"eval.tile", kSr},
      {"data.border", kSr},
      {"quant.output", kSr},
      {"data.synthetic_size", kSr},
      {"model.stem", kClass},
      {"model.shortcut", kClass},
      {"train.label_smoothing", kClass},
      {"train.frozen_norm_epochs", kClass},
      {"train.norm_batches", kClass},
      {"data.size", kClass},
      {"data.mirror", kClass},
      {"data.resized_crop", kClass},
      {"data.crop_padding", kClass},
      {"data.autoaugment", kClass},
      {"data.normalize", kClass},
  };
  return keys;
}

Use task_use(Task task) {
  return {[task](const Config& c) { return task_of(c) == task; },
          task == Task::kSuperResolution ? "only super-resolution (model.name = espcn) uses it"
                                         : "only classification (model.name = resnet18, resnet20 or resnet50) uses it"};
}

Use always() {
  return {[](const Config&) { return true; }, ""};
}

Use use_of(const KeyInfo& key) {
  const std::string_view name = key.name;
  const std::string_view leaf = key.leaf();
  if (name == "data.crop_padding") {
    return {
        [](const Config& c) { return task_of(c) == Task::kClassification && c.get_float("data.resized_crop") == 1.0; },
        "only classification without data.resized_crop uses it"};
  }
  if (const auto task = task_keys().find(name); task != task_keys().end()) return task_use(task->second);
  if (name.starts_with("optim.") && leaf != "name" && leaf != "lr") return optimizer_use(name);
  if (name.starts_with("quant.") && leaf != "quantizer") return quant_use(leaf);
  if (name.starts_with("schedule.") && leaf != "name" && leaf != "warmup_steps") return schedule_use(leaf);
  if (name.starts_with("data.synthetic_"))
    return {when("data.name", {"synthetic"}), "only data.name = synthetic uses it"};
  if (name == "run.capture") {
    return {[](const Config& c) { return c.get_string("run.device") != "cpu" && c.get_int("run.debug") == 0; },
            "it concerns CUDA without run.debug"};
  }
  if (name == "run.conv") {
    return {[](const Config& c) {
              return c.get_string("run.device") != "cpu" && c.get_string("quant.quantizer") != "none" &&
                     c.get_string("quant.arithmetic") == "codes";
            },
            "it chooses among CUDA's convolutions of codes"};
  }
  if (name == "data.root") {
    return {when("data.name", {"cifar10", "div2k", "food101", "image_folder", "tsinghua_dogs"}),
            "data.name = synthetic makes its images itself; for a folder of photos set data.name = image_folder"};
  }
  return always();
}

void check_quant(const Config& c) {
  if (c.get_string("quant.quantizer") == "none") return;
  parse_layer_rules(c.get_string("quant.layers"));  // the names are seen to when the network is built
  const auto weight_bits = c.get_int("quant.weight_bits");
  if (c.get_string("quant.weight_range") == "ternary" && weight_bits != 2) {
    fail<ConfigError>("quant.weight_range = ternary has the codes -1, 0 and 1, which is quant.weight_bits = 2, not {}",
                      weight_bits);
  }
  const auto float_epochs = c.get_int("quant.float_epochs");
  const auto epochs = c.get_int("train.epochs");
  std::int64_t before = float_epochs;
  for (const BitPeriod& p : parse_bit_periods(c.get_string("quant.progressive"))) before += p.epochs;
  if (before > float_epochs && before >= epochs) {
    fail<ConfigError>(
        "quant.progressive = {} leaves no epoch for quant.weight_bits = {}: with quant.float_epochs = {} it takes {} "
        "of train.epochs = {}",
        c.text("quant.progressive"), weight_bits, float_epochs, before, epochs);
  }
  if (float_epochs >= epochs) {
    fail<ConfigError>("quant.float_epochs = {} leaves no quantized epoch: it is part of train.epochs = {}",
                      float_epochs, epochs);
  }
}

void check_norms(const Config& c) {
  const auto frozen = c.get_int("train.frozen_norm_epochs"), epochs = c.get_int("train.epochs");
  if (frozen > epochs) {
    fail<ConfigError>("train.frozen_norm_epochs = {} is more than train.epochs = {}", frozen, epochs);
  }
}

void check_optimizer(const Config& c) {
  const std::string& name = c.get_string("optim.name");
  const auto values = optimizer_settings(c).values;
  const auto momentum = values.find("momentum");
  const bool without_momentum = momentum != values.end() && momentum->second == 0;
  const bool dampened = c.find_float("optim.dampening").value_or(0) != 0;
  if (name == "nesterov" && dampened) {
    fail<ConfigError>("optim.name = nesterov takes no dampening: leave optim.dampening = {} out",
                      c.text("optim.dampening"));
  }
  if (dampened && without_momentum && values.contains("dampening")) {
    fail<ConfigError>("optim.dampening = {} has no effect: optim.momentum of {} is 0", c.text("optim.dampening"), name);
  }
}

void check_schedule(const Config& c) {
  if (c.get_string("schedule.name") == "multistep") {
    const auto& milestones = c.get_list("schedule.milestones");
    if (milestones.empty()) fail<ConfigError>("schedule.name = multistep needs schedule.milestones, as in [4, 8]");
    if (std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal<>()) != milestones.end()) {
      fail<ConfigError>("schedule.milestones = {} must increase", c.text("schedule.milestones"));
    }
    if (milestones.back() >= c.get_int("train.epochs")) {
      fail<ConfigError>("schedule.milestones = {} reaches beyond train.epochs = {}", c.text("schedule.milestones"),
                        c.get_int("train.epochs"));
    }
  }
  if (c.get_string("schedule.name") == "step" && c.get_int("schedule.step_epochs") >= c.get_int("train.epochs")) {
    fail<ConfigError>("schedule.name = step never steps: schedule.step_epochs = {} is not below train.epochs = {}",
                      c.get_int("schedule.step_epochs"), c.get_int("train.epochs"));
  }
}

void check_data(const Config& c) {
  const std::string& name = c.get_string("data.name");
  const bool classifies = task_of(c) == Task::kClassification;
  const std::vector<std::string> sets =
      classifies ? std::vector<std::string>{"cifar10", "food101", "image_folder", "synthetic", "tsinghua_dogs"}
                 : std::vector<std::string>{"div2k", "image_folder", "synthetic"};
  if (std::find(sets.begin(), sets.end(), name) == sets.end()) {
    fail<ConfigError>("data.name = {} is not for {}, which model.name = {} does; there are: {}", name,
                      classifies ? "classification" : "super-resolution", c.get_string("model.name"), join(sets));
  }
  parse_normalization(c.get_string("data.normalize"));
  const std::string metric = metric_of(c);
  const bool of_classes = metric == "top1" || metric == "top5";
  if (metric != "loss" && of_classes != classifies) {
    fail<ConfigError>("study.metric = {} does not measure {}, which model.name = {} does", metric,
                      classifies ? "classification" : "super-resolution", c.get_string("model.name"));
  }
  if (classifies || name != "synthetic") return;
  const auto patch = c.get_int("train.patch") * c.get_int("model.scale");
  if (patch > c.get_int("data.synthetic_size")) {
    fail<ConfigError>(
        "train.patch = {} at model.scale = {} needs images of {} pixels: data.synthetic_size = {} is smaller",
        c.get_int("train.patch"), c.get_int("model.scale"), patch, c.get_int("data.synthetic_size"));
  }
}

void check_study_name(const Config& c) {
  const std::string& name = c.get_string("study.name");
  const auto plain = [](char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' ||
           ch == '.';
  };
  if (name.empty() || name.front() == '.' || !std::all_of(name.begin(), name.end(), plain)) {
    fail<ConfigError>("study.name = \"{}\" names a folder: use letters, digits, '-', '_' and '.'", name);
  }
}

void check_start(const Study& study, const Variant& variant) {
  if (variant.start.empty()) return;
  std::vector<std::string> earlier;
  for (const auto& other : study.variants) {
    if (&other == &variant) break;
    earlier.push_back(other.name);
  }
  if (std::find(earlier.begin(), earlier.end(), variant.start) == earlier.end()) {
    fail<ConfigError>("{}: variant.{}.start = \"{}\" names no variant that stands before it{}{}", variant.origin,
                      variant.name, variant.start, earlier.empty() ? "" : "; there are: " + join(earlier),
                      did_you_mean(variant.start, earlier));
  }
  const Variant* start = study.find_variant(variant.start);
  for (const char* key : {"model.name", "model.scale"}) {
    const Value &here = value_under(study, &variant, key), &there = value_under(study, start, key);
    if (here == there) continue;
    fail<ConfigError>("{}: variant '{}' has {} = {} and starts from '{}', which has {}: its weights do not fit",
                      variant.origin, variant.name, key, value_text(here), variant.start, value_text(there));
  }
  if (!study.base.get_string("train.init").empty() || study.find_axis("train.init") != nullptr) {
    fail<ConfigError>("{}: variant.{} starts from '{}' and train.init names a checkpoint: keep one of them",
                      variant.origin, variant.name, variant.start);
  }
}

bool trains_alike(const Study& study, const Variant& a, const Variant& b) {
  if (a.start != b.start) return false;
  const auto is_same = [&](const auto& entry) {
    return value_under(study, &a, entry.first) == value_under(study, &b, entry.first);
  };
  return std::all_of(a.settings.begin(), a.settings.end(), is_same) &&
         std::all_of(b.settings.begin(), b.settings.end(), is_same);
}

void check_duplicate(const Study& study, const Variant& variant) {
  for (const auto& other : study.variants) {
    if (&other == &variant) return;
    if (!trains_alike(study, other, variant)) continue;
    fail<ConfigError>("{}: variants '{}' and '{}' would train the same networks: let them differ, or leave one out",
                      variant.origin, other.name, variant.name);
  }
}

}  // namespace

void check_variants(const Study& study) {
  for (const auto& variant : study.variants) {
    check_start(study, variant);
    check_duplicate(study, variant);
    for (const auto& [key, value] : variant.settings) {
      if (const Axis* axis = study.find_axis(key)) {
        fail<ConfigError>("{}: variant '{}' sets '{}', which is a grid axis too ({}): keep one of them", variant.origin,
                          variant.name, key, axis->origin);
      }
      if (key == "train.seed" || (key == "train.init" && !variant.start.empty())) {
        fail<ConfigError>("{}: variant '{}' cannot set '{}': {}", variant.origin, variant.name, key,
                          key == "train.seed" ? "its cells are compared with those of equal seed" : "it has a start");
      }
    }
  }
  const std::string& reference = study.base.get_string("study.reference");
  if (!reference.empty() && study.find_variant(reference) == nullptr) {
    std::vector<std::string> names;
    for (const auto& variant : study.variants) names.push_back(variant.name);
    fail<ConfigError>("{}: study.reference = \"{}\" names no variant{}", study.base.origin("study.reference"),
                      reference, did_you_mean(reference, names));
  }
}

void check_combination(const Config& config) {
  check_study_name(config);
  check_quant(config);
  check_norms(config);
  check_optimizer(config);
  check_schedule(config);
  check_data(config);
}

namespace {

void check_first_statistics(const Cell& cell) {
  const bool fresh = cell.start.empty() && cell.config.get_string("train.init").empty();
  if (!fresh || !training_phases(cell.config).front().frozen_norm) return;
  fail<ConfigError>(
      "{}: train.frozen_norm_epochs = {} of train.epochs = {}: running statistics cannot rest before they were "
      "gathered; leave an epoch, or start from a trained network (train.init, or a variant's start)",
      cell.name, cell.config.get_int("train.frozen_norm_epochs"), cell.config.get_int("train.epochs"));
}

// What a variant sets must act in it.
void check_variant_effects(const Study& study, std::span<const Cell> cells) {
  for (const auto& variant : study.variants) {
    std::vector<const Config*> configs;
    for (const Cell& cell : cells) {
      if (cell.variant == variant.name) configs.push_back(&cell.config);
    }
    for (const auto& [key, value] : variant.settings) {
      if (study.base.value(key) == value) continue;
      const Use use = use_of(*find_key(key));
      if (std::none_of(configs.begin(), configs.end(), [&](const Config* c) { return use.used(*c); })) {
        fail<ConfigError>("{}: variant '{}': {} = {} has no effect: {}", variant.origin, variant.name, key,
                          value_text(value), use.why);
      }
    }
  }
}

}  // namespace

void check_effects(const Study& study, std::span<const Cell> cells) {
  check_variant_effects(study, cells);
  for (const Cell& cell : cells) check_first_statistics(cell);
  for (const auto& key : schema()) {
    const Axis* axis = study.find_axis(key.name);
    // A value equal to the default changes nothing, and a resolved study.toml lists them all.
    if (axis == nullptr && study.base.value(key.name) == key.fallback) continue;
    const Use use = use_of(key);
    const auto unused = [&](const Cell& cell) { return !use.used(cell.config); };
    if (axis == nullptr && std::all_of(cells.begin(), cells.end(), unused)) {
      fail<ConfigError>("{}: {} = {} has no effect: {}", study.base.origin(key.name), key.name,
                        study.base.text(key.name), use.why);
    }
    if (axis == nullptr) continue;
    if (!study.variants.empty() && !std::all_of(cells.begin(), cells.end(), unused)) continue;  // some variant uses it
    const auto idle = std::find_if(cells.begin(), cells.end(), unused);
    if (idle != cells.end()) {
      fail<ConfigError>(
          "{}: grid axis '{}' has no effect on cell {}, which would train the same network several times: {}",
          axis->origin, key.name, idle->name, use.why);
    }
  }
}

}  // namespace gridstep
