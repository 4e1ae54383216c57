// `gridstep study NAME --tune`: one learning rate per optimizer, found with equal budgets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/study/definition.h"
#include "engine/study/runner.h"

namespace gridstep {

struct TuneReport {
  std::map<std::string, double> rates;  // optimizers of which at least one rate did not diverge
  std::string table;                    // for a terminal
  fs::path folder;
  int trained = 0;
  std::string failure;  // of the first cell that ended with an error; empty: none did
};

// The first rates to try: those of [tune.rates], or tune.points rates on the lattice 10^(k / points_per_decade) around
// the optimizer's centre, rounded to three digits; increasing. Throws ConfigError when optimizers would get unequal
// budgets.
std::map<std::string, std::vector<double>> first_rates(const Study& study);

// The next rate of the lattice above or below all of `rates`.
double rate_beyond(const std::vector<double>& rates, bool above, std::int64_t points_per_decade);

// The cells that tuning begins with. Throws ConfigError for a study that cannot be tuned.
std::vector<Cell> first_tuning_cells(const Study& study);

// What a sweep would begin with, for --dry-run: plan_text (study.h) of those cells.
std::string tuning_plan_text(const Study& study, CellRunner& runner);

// Sweeps the rates in options.folder / "tune" (study.toml, results.json, tune.md, rates.toml, cells/), resumed like a
// study. A rate counts as diverged when one of its seeds diverged; the best is that of the best mean, the lower one of
// equals. Grid axes other than the optimizer are held at their first value; seeds are tune.seeds. Throws ConfigError
// when a tuning seed is also a seed of the study, DivergedError when no optimizer has a rate.
TuneReport tune_rates(Study study, CellRunner& runner, const RunOptions& options);

}  // namespace gridstep
