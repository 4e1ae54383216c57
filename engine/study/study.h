// Running a study: train what is missing, write the run folder, make the table.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/study/definition.h"
#include "engine/study/results.h"
#include "engine/study/run_folder.h"
#include "engine/study/runner.h"

namespace gridstep {

struct StudyReport {
  Study study;
  std::vector<CellResult> cells;
  std::vector<SummaryRow> rows;
  StudyFacts facts;
  std::string table;  // for a terminal
  fs::path folder;
  int trained = 0;  // cells trained by this call
};

// Trains the cells of the study that options.folder does not hold yet, population by population, refreshing
// results.json and table.md after each. Where a population ends with an error after some cell has ended, its cells are
// recorded as "failed" with its message and the others are trained; a resume tries them again. A finished study is
// shown again and the runner is not asked. Throws ConfigError for an unfinished one without options.resume and for a
// folder that belongs to something else; Interrupted after results are written.
StudyReport run_study(Study study, CellRunner& runner, const RunOptions& options);

// What the exit code says about a finished report: throws DivergedError when every cell diverged, Error when one
// failed, and, if strict, GateError when a row does not beat the floor.
void check_report(const StudyReport& report, bool strict);

// --- what run_study and tune_rates share ---

// What training the cells would do, for --dry-run: heading, populations, memory. Writes nothing; throws what
// runner.require_trainable throws.
std::string plan_text(const Study& study, const std::vector<Cell>& cells, CellRunner& runner);

// "ok" or "diverged", of those not left out; a failed cell is tried again.
bool all_ended(const std::vector<CellResult>& cells);

// Throws what the runner throws at the first cell that has not ended and cannot be trained here.
void require_trainable(const std::vector<CellResult>& cells, CellRunner& runner);

// Throws ConfigError naming --resume when someone else's or an earlier call's work lies in the folder unfinished.
void require_resume(const RunFolder& folder, const std::vector<CellResult>& cells, const RunOptions& options);

// Trains every cell that has not ended in populations, saving each outcome and calling `refresh` after every
// population; the folder must be open unless all have. Returns the number of cells trained.
int train_missing(const Study& study, const RunFolder& folder, std::vector<CellResult>& cells, CellRunner& runner,
                  const RunOptions& options, const std::function<void()>& refresh);

// From the folder where it has them, else from the runner (which may open the data).
StudyFacts gather_facts(const Study& study, const std::vector<Cell>& cells, const RunFolder& folder,
                        CellRunner& runner);

}  // namespace gridstep
