#include "engine/study/grid.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

constexpr std::string_view kSeed = "train.seed";
constexpr std::string_view kOptimizer = "optim.name";

// Optimizers vary slowest and seeds fastest: a table reads in blocks, and populations hold few rules.
std::vector<const Axis*> nesting_order(const Study& study) {
  const auto level = [](const Axis* axis) { return axis->key == kOptimizer ? 0 : axis->key == kSeed ? 2 : 1; };
  std::vector<const Axis*> order;
  for (const auto& axis : study.axes) order.push_back(&axis);
  std::stable_sort(order.begin(), order.end(), [&](const Axis* a, const Axis* b) { return level(a) < level(b); });
  return order;
}

// "w4", "lr0.001", "tanh": letters, digits and ._- only, so that every name is a file name.
std::string name_part(const KeyInfo& key, const std::string& text) {
  std::string part = key.tag;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (plain || c == '_') {
      part += c;
    } else if (!part.empty() && part.back() != '_') {
      part += '_';
    }
  }
  while (!part.empty() && part.back() == '_') part.pop_back();
  return part;
}

// A variant's name stands for the optimizer unless that is an axis as well.
std::string cell_name(const std::string& variant, const Config& config, const std::vector<const Axis*>& order) {
  std::string name = variant.empty() ? config.get_string(kOptimizer) : variant;
  for (const Axis* axis : order) {
    if (axis->key == kSeed || (axis->key == kOptimizer && variant.empty())) continue;
    const std::string part = name_part(*find_key(axis->key), config.text(axis->key));
    if (!part.empty()) name += "-" + part;
  }
  return name + "-" + name_part(*find_key(kSeed), config.text(kSeed));
}

void resolve_rate(const Study& study, Config& config) {
  if (config.get_float("optim.lr") > 0) return;
  const std::string& optimizer = config.get_string(kOptimizer);
  const auto rate = study.rates.find(optimizer);
  if (rate == study.rates.end()) {
    fail<ConfigError>(
        "no learning rate for optimizer '{0}': rates do not carry over from other libraries under quantization, so "
        "each one is stated. Give --set optim.lr=... (`train`: --lr) or --set rates.{0}=..., or add '{0} = ...' to a "
        "study's [rates] (--tune finds it)",
        optimizer);
  }
  config.set("optim.lr", rate->second, "[rates]");
}

// How many starts lie before this variant's.
int depth_of(const Study& study, const Variant& variant) {
  return variant.start.empty() ? 0 : 1 + depth_of(study, *study.find_variant(variant.start));
}

Cell make_cell(const Study& study, const std::vector<const Axis*>& order, const Variant* variant, std::size_t number) {
  Cell cell;
  cell.config = study.base;
  if (variant != nullptr) {
    cell.variant = variant->name;
    cell.depth = depth_of(study, *variant);
    for (const auto& [key, value] : variant->settings) cell.config.set(key, value, variant->origin);
  }
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    const auto& values = (*axis)->values;
    cell.config.set((*axis)->key, values[number % values.size()], "[grid]");
    number /= values.size();
  }
  for (const auto& axis : study.axes) cell.axes.emplace_back(axis.key, cell.config.text(axis.key));
  cell.name = cell_name(cell.variant, cell.config, order);
  return cell;
}

// Two paths, say, may differ only in characters that no file name has.
void make_names_unique(std::vector<Cell>& cells) {
  std::map<std::string, int> seen;
  for (auto& cell : cells) {
    const int count = ++seen[cell.name];
    if (count > 1) cell.name += fmt::format("-n{}", count);
  }
}

// The cells of all variants stand in equal order: a cell's start stands at its own place among those of the start's
// variant.
void link_starts(const Study& study, std::vector<Cell>& cells) {
  if (study.variants.empty()) return;
  const std::size_t each = cells.size() / study.variants.size();
  for (std::size_t v = 0; v < study.variants.size(); ++v) {
    const Variant& variant = study.variants[v];
    if (variant.start.empty()) continue;
    const auto from = static_cast<std::size_t>(study.find_variant(variant.start) - study.variants.data());
    for (std::size_t i = 0; i < each; ++i) cells[v * each + i].start = cells[from * each + i].name;
  }
}

// run.variants: the others are left out.
void choose_variants(const Study& study, std::vector<Cell>& cells) {
  const std::string& chosen = study.base.get_string("run.variants");
  if (chosen.empty()) return;
  const std::string& origin = study.base.origin("run.variants");
  std::vector<std::string> known, wanted = split(chosen, ',');
  for (const auto& variant : study.variants) known.push_back(variant.name);
  const auto is_wanted = [&](const std::string& name) {
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  for (const auto& name : wanted) {
    const Variant* variant = study.find_variant(name);
    if (variant == nullptr) {
      fail<ConfigError>("{}: run.variants names the unknown variant '{}'{}; there are: {}", origin, name,
                        did_you_mean(name, known), known.empty() ? "none" : join(known));
    }
    if (!variant->start.empty() && !is_wanted(variant->start)) {
      fail<ConfigError>("{}: variant '{}' starts from '{}': run.variants must name both", origin, name, variant->start);
    }
  }
  for (Cell& cell : cells) cell.left_out = !is_wanted(cell.variant);
}

}  // namespace

std::vector<Cell> expand_cells(const Study& study) {
  constexpr std::size_t kMaxCells = 100000;
  check_variants(study);
  const auto order = nesting_order(study);
  std::vector<const Variant*> variants;
  for (const auto& variant : study.variants) variants.push_back(&variant);
  if (variants.empty()) variants.push_back(nullptr);
  std::size_t count = 1;
  for (const Axis* axis : order) {
    count *= axis->values.size();
    if (count * variants.size() > kMaxCells)
      fail<ConfigError>("[grid] has more than {} cells: take values out of its axes", kMaxCells);
  }
  std::vector<Cell> cells;
  for (const Variant* variant : variants) {
    for (std::size_t number = 0; number < count; ++number) {
      cells.push_back(make_cell(study, order, variant, number));
      check_combination(cells.back().config);
      resolve_rate(study, cells.back().config);
    }
  }
  check_effects(study, cells);
  make_names_unique(cells);
  link_starts(study, cells);
  choose_variants(study, cells);
  return cells;
}

std::vector<std::vector<Cell>> architecture_groups(std::span<const Cell> cells) {
  const auto same_program = [](const Config& a, const Config& b) {
    return std::all_of(schema().begin(), schema().end(),
                       [&](const KeyInfo& key) { return key.per_replica() || a.value(key.name) == b.value(key.name); });
  };
  std::vector<std::vector<Cell>> groups;
  for (const auto& cell : cells) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) {
      return g.front().depth == cell.depth && same_program(g.front().config, cell.config);
    });
    if (group != groups.end()) {
      group->push_back(cell);
    } else {
      groups.push_back({cell});
    }
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.front().depth < b.front().depth; });
  return groups;
}

std::vector<std::vector<Cell>> split_population(std::vector<Cell> group, int max_replicas) {
  GS_CHECK(max_replicas >= 1, "a population needs at least one replica, not {}", max_replicas);
  const std::size_t limit = static_cast<std::size_t>(max_replicas);
  const std::size_t count = (group.size() + limit - 1) / limit;
  std::vector<std::vector<Cell>> populations(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = group.begin() + static_cast<std::ptrdiff_t>(i * group.size() / count);
    const auto last = group.begin() + static_cast<std::ptrdiff_t>((i + 1) * group.size() / count);
    populations[i].assign(std::make_move_iterator(first), std::make_move_iterator(last));
  }
  return populations;
}

}  // namespace gridstep
