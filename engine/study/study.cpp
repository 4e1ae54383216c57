#include "engine/study/study.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file_watch.h"
#include "engine/base/interrupt.h"
#include "engine/base/log.h"
#include "engine/base/names.h"
#include "engine/study/table.h"

namespace gridstep {
namespace {

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

bool has_ended(const CellResult& result) { return result.outcome && result.outcome->status != "failed"; }

bool is_chosen(const CellResult& result) { return !result.cell.left_out; }

int replica_limit(const Config& config, CellRunner& runner) {
  const auto chosen = static_cast<int>(config.get_int("train.replicas"));
  return chosen > 0 ? chosen : std::max(1, runner.preferred_replicas(config));
}

using Populations = std::vector<std::vector<Cell>>;

// Cut from all cells before the finished ones are taken out: a resumed study meets the populations it left. Nothing is
// planned for groups of which no cell is `wanted`.
Populations all_populations(std::vector<Cell> cells, CellRunner& runner,
                            const std::function<bool(const Cell&)>& wanted) {
  std::erase_if(cells, [](const Cell& cell) { return cell.left_out; });
  Populations populations;
  for (auto& group : architecture_groups(cells)) {
    if (std::none_of(group.begin(), group.end(), wanted)) continue;
    const int limit = replica_limit(group.front().config, runner);
    for (auto& population : split_population(std::move(group), limit)) populations.push_back(std::move(population));
  }
  return populations;
}

CellResult& result_of(std::vector<CellResult>& results, const std::string& name) {
  const auto it =
      std::find_if(results.begin(), results.end(), [&](const CellResult& r) { return r.cell.name == name; });
  GS_CHECK(it != results.end(), "no cell '{}' in this study", name);
  return *it;
}

Populations missing_populations(std::vector<CellResult>& results, CellRunner& runner) {
  std::vector<Cell> cells;
  cells.reserve(results.size());
  for (const auto& result : results) cells.push_back(result.cell);
  const auto missing = [&](const Cell& cell) { return !has_ended(result_of(results, cell.name)); };
  Populations populations = all_populations(std::move(cells), runner, missing);
  for (auto& population : populations) std::erase_if(population, std::not_fn(missing));
  std::erase_if(populations, [](const auto& population) { return population.empty(); });
  return populations;
}

// One, unless cells are measured in different ways: on images of another scale, say.
std::string protocols_of(const std::vector<Cell>& cells, CellRunner& runner) {
  std::vector<std::string> protocols;
  for (const auto& cell : cells) {
    const std::string protocol = runner.protocol(cell.config);
    if (std::find(protocols.begin(), protocols.end(), protocol) == protocols.end()) protocols.push_back(protocol);
  }
  return join(protocols, "; ");
}

void refresh_report(StudyReport& report, const RunFolder& folder) {
  report.rows = summarize_cells(report.study, report.cells, report.facts);
  report.table = study_table(report.study, report.cells, report.rows, report.facts, TableStyle::kTerminal);
  folder.save("results.json", results_json(report.study, report.cells, report.rows, report.facts).dump(2) + "\n");
  folder.save("table.md", study_table(report.study, report.cells, report.rows, report.facts, TableStyle::kMarkdown));
}

// What becomes of a cell whose start has no network to give; nullopt when it has.
std::optional<CellOutcome> missing_start(const Cell& cell, std::vector<CellResult>& results) {
  if (cell.start.empty()) return std::nullopt;
  const auto& start = result_of(results, cell.start).outcome;
  GS_CHECK(start.has_value(), "cell {} is to start from {}, which was not trained", cell.name, cell.start);
  if (start->status == "ok") return std::nullopt;
  CellOutcome outcome;
  outcome.status = start->status;
  outcome.note = fmt::format("{}, from which it starts, {}", cell.start, start->status);
  return outcome;
}

std::vector<CellOutcome> run_population(const std::vector<Cell>& population, std::vector<CellResult>& results,
                                        CellRunner& runner, const RunOptions& options) {
  std::vector<CellOutcome> outcomes(population.size());
  std::vector<Cell> able;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < population.size(); ++i) {
    if (auto outcome = missing_start(population[i], results)) {
      outcomes[i] = std::move(*outcome);
    } else {
      able.push_back(population[i]);
      places.push_back(i);
    }
  }
  if (able.empty()) return outcomes;
  std::vector<CellOutcome> trained = runner.run(able, options);
  GS_CHECK(trained.size() == able.size(), "the runner gave {} outcomes for {} cells", trained.size(), able.size());
  for (std::size_t i = 0; i < trained.size(); ++i) {
    outcomes[places[i]] = checked_outcome(able[i], std::move(trained[i]));
  }
  return outcomes;
}

// An error after some cell has ended is recorded, and the other populations are trained. One before that may well
// concern them all: it ends the study at once, and the folder stays free.
std::vector<CellOutcome> outcomes_of(const std::vector<Cell>& population, std::vector<CellResult>& results,
                                     CellRunner& runner, const RunOptions& options) {
  try {
    return run_population(population, results, runner, options);
  } catch (const Interrupted&) {
    throw;
  } catch (const DataChanged&) {
    throw;
  } catch (const std::exception& e) {
    if (std::none_of(results.begin(), results.end(), has_ended)) throw;
    CellOutcome failed;
    failed.status = "failed";
    failed.note = e.what();
    return std::vector<CellOutcome>(population.size(), failed);
  }
}

}  // namespace

bool all_ended(const std::vector<CellResult>& cells) {
  return std::none_of(cells.begin(), cells.end(), [](const CellResult& r) { return is_chosen(r) && !has_ended(r); });
}

void require_trainable(const std::vector<CellResult>& cells, CellRunner& runner) {
  for (const CellResult& r : cells)
    if (is_chosen(r) && !has_ended(r)) runner.require_trainable(r.cell);
}

void require_resume(const RunFolder& folder, const std::vector<CellResult>& cells, const RunOptions& options) {
  if (options.resume || folder.fresh() || folder.is_open() || all_ended(cells)) return;
  const auto done = std::count_if(cells.begin(), cells.end(), has_ended);
  fail<ConfigError>(
      "{} holds this study unfinished: {} of {} cells have ended. Add --resume to continue, or choose another "
      "folder with --out",
      folder.path().string(), done, cells.size());
}

StudyFacts gather_facts(const Study& study, const std::vector<Cell>& cells, const RunFolder& folder,
                        CellRunner& runner) {
  StudyFacts facts;
  if (auto stored = folder.load_facts()) {
    facts = std::move(*stored);
  } else {
    facts.device = runner.device_name();
    facts.protocol = protocols_of(cells, runner);
  }
  for (const auto& cell : cells) {
    const std::string key = floor_key(study, cell.config);
    if (cell.left_out || facts.floors.contains(key)) continue;
    facts.floors[key] = runner.floor(cell.config);
    facts.references[key] = runner.references(cell.config);
  }
  return facts;
}

int train_missing(const Study& study, const RunFolder& folder, std::vector<CellResult>& cells, CellRunner& runner,
                  const RunOptions& options, const std::function<void()>& refresh) {
  if (all_ended(cells)) return 0;
  GS_CHECK(folder.is_open(), "{}: cells are to be trained in a folder that was not opened", folder.path().string());
  const Populations populations = missing_populations(cells, runner);
  RunOptions step = options;
  int trained = 0;
  for (std::size_t i = 0; i < populations.size(); ++i) {
    if (interrupt_requested()) throw Interrupted("interrupted between two populations");
    const auto& population = populations[i];
    step.label = populations.size() > 1 ? fmt::format("population {}/{}", i + 1, populations.size()) : "";
    log_info("{}{}{} ({})", step.label, step.label.empty() ? "" : ": ",
             population.size() == 1 ? population.front().name
                                    : fmt::format("{} .. {}", population.front().name, population.back().name),
             counted(population.size(), "cell"));
    const auto outcomes = outcomes_of(population, cells, runner, step);
    for (std::size_t c = 0; c < population.size(); ++c) {
      folder.save_outcome(study, population[c], outcomes[c]);
      result_of(cells, population[c].name).outcome = outcomes[c];
      if (outcomes[c].status != "ok") log_warn("{} {}: {}", population[c].name, outcomes[c].status, outcomes[c].note);
    }
    trained += static_cast<int>(population.size());
    refresh();
  }
  return trained;
}

StudyReport run_study(Study study, CellRunner& runner, const RunOptions& options) {
  expand_cells(study);  // a mistake in the study is reported before one about its folder
  RunFolder folder(options.folder, study);
  const std::vector<Cell> cells = expand_cells(study);
  StudyReport report{study, folder.load(cells), {}, {}, {}, options.folder, 0};
  require_resume(folder, report.cells, options);
  require_trainable(report.cells, runner);
  report.facts = gather_facts(study, cells, folder, runner);
  if (!all_ended(report.cells)) folder.open(study, report.facts, runner);
  const auto refresh = [&] { refresh_report(report, folder); };
  try {
    report.trained = train_missing(study, folder, report.cells, runner, options, refresh);
  } catch (const Interrupted& e) {
    refresh();
    const auto ended = std::count_if(report.cells.begin(), report.cells.end(), has_ended);
    fail<Interrupted>("{}; {} of {} cells have ended, --resume continues", e.what(), ended, report.cells.size());
  }
  refresh();
  return report;
}

void check_report(const StudyReport& report, bool strict) {
  const auto is = [](const char* status) {
    return [status](const CellResult& r) { return r.outcome && r.outcome->status == status; };
  };
  std::vector<CellResult> cells = report.cells;
  std::erase_if(cells, std::not_fn(is_chosen));
  if (std::all_of(cells.begin(), cells.end(), is("diverged"))) {
    fail<DivergedError>("every one of the {} cells diverged: lower the learning rates (--tune finds them)",
                        cells.size());
  }
  const auto failed = std::count_if(cells.begin(), cells.end(), is("failed"));
  if (failed > 0) {
    const auto first = std::find_if(cells.begin(), cells.end(), is("failed"));
    fail("{} of {} cells failed, the first is {} ({}); --resume tries them again", failed, cells.size(),
         first->cell.name, first->outcome->note);
  }
  const auto losers =
      std::count_if(report.rows.begin(), report.rows.end(), [](const auto& row) { return row.under_floor; });
  if (strict && losers > 0) {
    fail<GateError>("--strict: {} of {} rows do not beat {}", losers, report.rows.size(),
                    report.rows.front().floor.name);
  }
}

std::string plan_text(const Study& study, const std::vector<Cell>& cells, CellRunner& runner) {
  for (const Cell& cell : cells)
    if (!cell.left_out) runner.require_trainable(cell);
  StudyFacts facts;
  facts.device = runner.device_name();
  facts.protocol = protocols_of(cells, runner);
  std::string out = study.base.get_string("study.name") + "\n";
  for (const auto& fact : study_heading(study, facts)) out += "  " + fact + "\n";
  const Populations populations = all_populations(cells, runner, [](const Cell&) { return true; });
  const auto chosen = std::count_if(cells.begin(), cells.end(), [](const Cell& cell) { return !cell.left_out; });
  out += fmt::format("\n{} in {}\n", counted(static_cast<std::size_t>(chosen), "cell"),
                     counted(populations.size(), "population"));
  for (const auto& population : populations) {
    std::vector<std::string> names;
    names.reserve(population.size());
    for (const auto& cell : population) names.push_back(cell.name);
    out += fmt::format("\n{}: {}\n", counted(population.size(), "cell"), join(names, " "));
    out += runner.plan(population);
    if (!out.ends_with('\n')) out += '\n';
  }
  return out + "\nThis was a dry run: nothing was trained, no run folder was written.\n";
}

}  // namespace gridstep
