#include "engine/study/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"
#include "engine/study/study.h"
#include "engine/study/table.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

using Rates = std::map<std::string, std::vector<double>>;

// Rules that set their own step length: their published rate. The gradient of a mean over pixels is small, and plain
// gradient descent needs rates far above the published ones of classification.
double rate_centre(const std::string& optimizer) {
  constexpr double kGradientDescent = 0.1;
  const OptimizerInfo& info = all_optimizers()[static_cast<std::size_t>(find_optimizer(optimizer))];
  return info.adaptive ? info.default_lr : kGradientDescent;
}

double three_digits(double v) { return std::strtod(fmt::format("{:.2e}", v).c_str(), nullptr); }

void check_seeds(const Study& study) {
  std::vector<std::int64_t> finals;
  if (const Axis* axis = study.find_axis("train.seed")) {
    for (const auto& value : axis->values) finals.push_back(std::get<std::int64_t>(value));
  } else {
    finals.push_back(study.base.get_int("train.seed"));
  }
  for (const auto seed : study.tune.seeds) {
    if (std::find(finals.begin(), finals.end(), seed) != finals.end()) {
      fail<ConfigError>(
          "tune.seeds holds {}, which is a seed of the study (train.seed): rates tuned on it would flatter the "
          "final runs",
          seed);
    }
  }
}

// The study that is trained while tuning, but for its rates: what makes the tune folder this one.
Study tuning_base(Study study) {
  check_seeds(study);
  if (!study.variants.empty()) {
    fail<ConfigError>(
        "--tune sweeps the rates of one network, and this study has {} variants: tune a study without them, and state "
        "what it finds as optim.lr of each variant",
        study.variants.size());
  }
  const std::string origin = "[tune]";
  const std::vector<Axis> axes = study.axes;
  for (const auto& axis : axes) {
    if (axis.key != "optim.name" && axis.key != "train.seed") study.pin(axis.key, axis.values.front(), origin);
  }
  if (study.tune.epochs > 0) study.base.set("train.epochs", study.tune.epochs, origin);
  study.base.set("optim.lr", 0.0, origin);
  study.rates.clear();
  std::vector<Value> seeds(study.tune.seeds.begin(), study.tune.seeds.end());
  study.set_axis({"train.seed", std::move(seeds), origin});
  study.tune.present = true;
  return study;
}

// The base with rate axes: only to lay out cells and columns, so that every cell says its rate.
Study with_rates(const Study& base, const std::string& optimizer, const std::vector<double>& rates) {
  Study study = base;
  study.set_axis({"optim.name", {optimizer}, "[tune]"});
  study.set_axis({"optim.lr", std::vector<Value>(rates.begin(), rates.end()), "[tune]"});
  return study;
}

std::vector<Cell> tuning_cells(const Study& base, const Rates& rates) {
  std::vector<Cell> cells;
  for (const auto& optimizer : optimizers_in_use(base)) {
    for (auto& cell : expand_cells(with_rates(base, optimizer, rates.at(optimizer)))) cells.push_back(std::move(cell));
  }
  return cells;
}

struct Sweep {
  Study plan;     // what is trained, but for its rates
  Study columns;  // plan plus a rate axis, for rows and files
  Rates rates;    // tried so far, increasing
  std::map<std::string, std::int64_t> extensions;
  std::vector<CellResult> cells;
  std::vector<SummaryRow> rows;
  StudyFacts facts;
};

const SummaryRow* row_of(const Sweep& sweep, const std::string& optimizer, double rate) {
  for (const auto& row : sweep.rows) {
    if (row.config.get_string("optim.name") == optimizer && row.config.get_float("optim.lr") == rate) return &row;
  }
  return nullptr;
}

std::optional<double> score_of(const Sweep& sweep, const std::string& optimizer, double rate) {
  const SummaryRow* row = row_of(sweep, optimizer, rate);
  if (row == nullptr || row->diverged > 0 || row->failed > 0) return std::nullopt;
  return row->score.mean;
}

std::optional<std::size_t> best_index(const Sweep& sweep, const std::string& optimizer) {
  const bool higher = higher_is_better(metric_of(sweep.plan.base));
  const auto& rates = sweep.rates.at(optimizer);
  std::optional<std::size_t> best;
  std::optional<double> best_score;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const auto score = score_of(sweep, optimizer, rates[i]);
    if (!score || (best_score && !(higher ? *score > *best_score : *score < *best_score))) continue;
    best = i;
    best_score = score;
  }
  return best;
}

enum class Edge { kNone, kLow, kHigh };

// Where the range should grow. Where everything diverged, a lower rate is the only hope.
Edge edge_of(const Sweep& sweep, const std::string& optimizer) {
  const auto best = best_index(sweep, optimizer);
  if (!best || *best == 0) return Edge::kLow;
  return *best + 1 == sweep.rates.at(optimizer).size() ? Edge::kHigh : Edge::kNone;
}

bool extend(Sweep& sweep) {
  bool grown = false;
  for (auto& [optimizer, rates] : sweep.rates) {
    const Edge edge = edge_of(sweep, optimizer);
    if (edge == Edge::kNone || sweep.extensions[optimizer] >= sweep.plan.tune.max_extensions) continue;
    ++sweep.extensions[optimizer];
    rates.push_back(rate_beyond(rates, edge == Edge::kHigh, sweep.plan.tune.points_per_decade));
    std::sort(rates.begin(), rates.end());
    grown = true;
  }
  return grown;
}

std::string rates_block(const std::map<std::string, double>& rates) {
  std::string out = "[rates]\n";
  for (const auto& [optimizer, rate] : rates) out += fmt::format("{} = {}\n", optimizer, value_toml(rate));
  return out;
}

std::map<std::string, double> best_rates(const Sweep& sweep) {
  std::map<std::string, double> rates;
  for (const auto& [optimizer, tried] : sweep.rates) {
    if (const auto best = best_index(sweep, optimizer)) rates[optimizer] = tried[*best];
  }
  return rates;
}

TextTable best_table(const Sweep& sweep) {
  const std::string metric = metric_of(sweep.plan.base);
  TextTable table{{{"optimizer", Align::kLeft},
                   {"best rate"},
                   {metric},
                   {"tried"},
                   {"from"},
                   {"to"},
                   {"diverged"},
                   {"best at the edge"}},
                  {},
                  0};
  for (const auto& optimizer : optimizers_in_use(sweep.plan)) {
    const auto& rates = sweep.rates.at(optimizer);
    const auto best = best_index(sweep, optimizer);
    const auto diverged = std::count_if(rates.begin(), rates.end(), [&](double r) {
      const SummaryRow* row = row_of(sweep, optimizer, r);
      return row != nullptr && row->diverged + row->failed > 0;
    });
    table.rows.push_back({optimizer, best ? value_text(rates[*best]) : "none",
                          metric_text(metric, best ? score_of(sweep, optimizer, rates[*best]) : std::nullopt),
                          std::to_string(rates.size()), value_text(rates.front()), value_text(rates.back()),
                          std::to_string(diverged), edge_of(sweep, optimizer) == Edge::kNone ? "no" : "YES"});
  }
  return table;
}

TextTable all_table(const Sweep& sweep) {
  const std::string metric = metric_of(sweep.plan.base);
  TextTable table{
      {{"optimizer", Align::kLeft}, {"learning rate"}, {metric}, {"best*"}, {"diverged"}, {"chosen"}}, {}, 0};
  for (const auto& optimizer : optimizers_in_use(sweep.plan)) {
    const auto& rates = sweep.rates.at(optimizer);
    const auto best = best_index(sweep, optimizer);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const SummaryRow* row = row_of(sweep, optimizer, rates[i]);
      if (row == nullptr) continue;
      table.rows.push_back({optimizer, value_text(rates[i]), metric_text(metric, row->score.mean),
                            metric_text(metric, row->best), std::to_string(row->diverged), best == i ? "<-" : ""});
    }
  }
  return table;
}

std::string sweep_page(const Sweep& sweep, TableStyle style) {
  std::vector<std::string> remarks;
  for (const auto& [optimizer, tried] : sweep.rates) {
    if (edge_of(sweep, optimizer) == Edge::kNone) continue;
    remarks.push_back(
        fmt::format("{}: the best of {} rates is still on the edge; raise tune.max_extensions or move "
                    "[tune.rates].",
                    optimizer, tried.size()));
  }
  std::string out = page(sweep.plan.base.get_string("study.name") + ": learning rates",
                         study_heading(sweep.plan, sweep.facts), best_table(sweep), remarks, style);
  const bool markdown = style == TableStyle::kMarkdown;
  if (markdown) out += "\n## All rates\n\n" + all_table(sweep).render(style);
  const std::string block = rates_block(best_rates(sweep));
  return out + "\nFor the study file:\n\n" + (markdown ? "```toml\n" + block + "```\n" : block);
}

void refresh_sweep(Sweep& sweep, const RunFolder& folder) {
  sweep.rows = summarize_cells(sweep.columns, sweep.cells, sweep.facts);
  folder.save("results.json", results_json(sweep.columns, sweep.cells, sweep.rows, sweep.facts).dump(2) + "\n");
  folder.save("tune.md", sweep_page(sweep, TableStyle::kMarkdown));
  folder.save("rates.toml", rates_block(best_rates(sweep)));
}

}  // namespace

double rate_beyond(const std::vector<double>& rates, bool above, std::int64_t points_per_decade) {
  const auto density = static_cast<double>(points_per_decade);
  const double position = std::round(std::log10(above ? rates.back() : rates.front()) * density);
  return three_digits(std::pow(10.0, (position + (above ? 1 : -1)) / density));
}

Rates first_rates(const Study& study) {
  Rates rates;
  std::size_t budget = 0;
  std::string first;
  for (const auto& optimizer : optimizers_in_use(study)) {
    if (const auto it = study.tune.rates.find(optimizer); it != study.tune.rates.end()) {
      rates[optimizer] = it->second;
    } else {
      const auto density = static_cast<double>(study.tune.points_per_decade);
      const double centre = std::round(std::log10(rate_centre(optimizer)) * density);
      const std::int64_t middle = (study.tune.points - 1) / 2;
      for (std::int64_t i = 0; i < study.tune.points; ++i) {
        const double position = centre + static_cast<double>(i - middle);
        rates[optimizer].push_back(three_digits(std::pow(10.0, position / density)));
      }
    }
    const std::size_t count = rates[optimizer].size();
    if (budget == 0) first = optimizer;
    if (budget == 0) budget = count;
    if (count != budget) {
      fail<ConfigError>(
          "[tune] gives {} rates to {} and {} to {}: every optimizer needs the same budget (tune.points, "
          "[tune.rates])",
          budget, first, count, optimizer);
    }
  }
  return rates;
}

std::vector<Cell> first_tuning_cells(const Study& study) {
  const Study plan = tuning_base(study);
  return tuning_cells(plan, first_rates(plan));
}

std::string tuning_plan_text(const Study& study, CellRunner& runner) {
  return plan_text(tuning_base(study), first_tuning_cells(study), runner);
}

TuneReport tune_rates(Study study, CellRunner& runner, const RunOptions& options) {
  RunOptions inner = options;
  inner.folder = options.folder / kTuneFolder;
  Sweep sweep;
  sweep.plan = tuning_base(std::move(study));
  RunFolder folder(inner.folder, sweep.plan);
  sweep.rates = first_rates(sweep.plan);
  sweep.columns = with_rates(sweep.plan, optimizers_in_use(sweep.plan).front(), {1.0});
  TuneReport report;
  report.folder = inner.folder;
  do {
    const auto cells = tuning_cells(sweep.plan, sweep.rates);
    sweep.cells = folder.load(cells);
    require_resume(folder, sweep.cells, options);
    require_trainable(sweep.cells, runner);
    if (sweep.facts.device.empty()) sweep.facts = gather_facts(sweep.plan, cells, folder, runner);
    if (!folder.is_open() && !all_ended(sweep.cells)) folder.open(sweep.plan, sweep.facts, runner);
    const auto refresh = [&] { refresh_sweep(sweep, folder); };
    try {
      report.trained += train_missing(sweep.columns, folder, sweep.cells, runner, inner, refresh);
    } catch (const Interrupted& e) {
      refresh();
      fail<Interrupted>("{}; --resume continues", e.what());
    }
    refresh();
  } while (extend(sweep));
  report.rates = best_rates(sweep);
  report.table = sweep_page(sweep, TableStyle::kTerminal);
  const auto failed = std::find_if(sweep.cells.begin(), sweep.cells.end(),
                                   [](const CellResult& r) { return r.outcome && r.outcome->status == "failed"; });
  if (failed != sweep.cells.end()) {
    report.failure = fmt::format("{} ({})", failed->cell.name, failed->outcome->note);
  } else if (report.rates.empty()) {
    fail<DivergedError>("every rate of every optimizer diverged: move [tune.rates] down");
  }
  return report;
}

}  // namespace gridstep
