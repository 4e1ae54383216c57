// What a study found: cells, summary rows, and their files (results.json: schema 1).
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "engine/study/runner.h"
#include "engine/study/statistics.h"

namespace gridstep {

struct CellResult {
  Cell cell;
  std::optional<CellOutcome> outcome;  // nullopt: not trained yet
};

// What holds for the study as a whole and came from the runner.
struct StudyFacts {
  std::string device;
  std::string protocol;
  std::map<std::string, Floor> floors;                     // by floor_key
  std::map<std::string, std::vector<Floor>> references{};  // by floor_key: chance, and the like
};

// Cells of one row: equal but for their seed.
struct SummaryRow {
  Config config;                                    // of the row's first cell
  std::string variant;                              // empty: the study has none
  std::vector<std::pair<std::string, Value>> axes;  // grid axes besides optimizer and seed
  int runs = 0;                                     // ended ok or diverged
  int diverged = 0;
  int failed = 0;
  SampleSummary score;         // study.metric at the last epoch, over the runs that ended ok
  std::optional<double> best;  // mean of the best epochs, over the same runs
  std::optional<double> top5;  // mean over those runs, beside top1 as study.metric and of more than ten classes
  double clipped_share = -1;   // mean over those runs; negative: not a clipping optimizer
  SampleSummary drop;          // how much worse than study.reference, over the pairs of equal seed and axes
  int rank = 0;
  Floor floor;
  bool under_floor = false;  // has a score, and it does not beat the floor
};

bool higher_is_better(std::string_view metric);
// Whether the floor depends on the key: the data and the scale.
bool moves_floor(std::string_view key);
// Cells of equal floor_key share their floor: what axes and variants say of the keys that move it.
std::string floor_key(const Study& study, const Config& config);

// In the order of the cells. Cells without an outcome count nowhere.
std::vector<SummaryRow> summarize_cells(const Study& study, std::span<const CellResult> cells, const StudyFacts& facts);

// results.json: {"schema": 1, "study", "device", "metric", "higher_is_better", "floor", "cells", "summary"}. Grid axes
// other than optimizer and seed stand in cells and summary under their full key. Cells without an outcome are left out.
nlohmann::ordered_json results_json(const Study& study, std::span<const CellResult> cells,
                                    std::span<const SummaryRow> rows, const StudyFacts& facts);

// cells/<name>/result.json.
nlohmann::ordered_json outcome_json(const Study& study, const Cell& cell, const CellOutcome& outcome);
CellOutcome outcome_from_json(const nlohmann::json& object);  // throws nlohmann::json::exception

// An outcome fit for statistics: "ok" with a missing study.metric throws Error, with one that is not finite becomes
// "diverged"; metrics of a cell that is not ok are dropped.
CellOutcome checked_outcome(const Cell& cell, CellOutcome outcome);

}  // namespace gridstep
