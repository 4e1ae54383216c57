#include "engine/study/results.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"

namespace gridstep {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

bool is_own_column(std::string_view key) { return key == "optim.name" || key == "train.seed"; }

std::vector<std::pair<std::string, Value>> other_axes(const Study& study, const Config& config) {
  std::vector<std::pair<std::string, Value>> axes;
  for (const auto& axis : study.axes) {
    if (!is_own_column(axis.key)) axes.emplace_back(axis.key, config.value(axis.key));
  }
  return axes;
}

ordered_json json_value(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return *list;
  return nullptr;
}

ordered_json json_optional(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

// Every cell lists the same names, so that a reader needs no special case; those without a figure are null.
ordered_json metrics_json(const std::set<std::string>& names, const std::map<std::string, double>& metrics) {
  ordered_json object = ordered_json::object();
  for (const auto& name : names) {
    const auto it = metrics.find(name);
    const bool known = it != metrics.end() && std::isfinite(it->second);
    object[name] = known ? ordered_json(it->second) : ordered_json(nullptr);
  }
  return object;
}

void add_axes(ordered_json& object, const std::vector<std::pair<std::string, Value>>& axes) {
  for (const auto& [key, value] : axes) object[key] = json_value(value);
}

ordered_json cell_head(const Study& study, const Cell& cell) {
  ordered_json object;
  if (!cell.variant.empty()) object["variant"] = cell.variant;
  object["optimizer"] = cell.config.get_string("optim.name");
  object["seed"] = cell.config.get_int("train.seed");
  add_axes(object, other_axes(study, cell.config));
  return object;
}

void add_ending(ordered_json& object, const CellOutcome& outcome) {
  object["status"] = outcome.status;
  object["steps"] = outcome.steps;
  object["seconds"] = outcome.seconds;
  object["replicas"] = outcome.replicas;
}

ordered_json interval_json(const SampleSummary& s) {
  return s.ci95 ? ordered_json{s.ci95->first, s.ci95->second} : ordered_json(nullptr);
}

ordered_json row_json(const SummaryRow& row) {
  ordered_json object;
  if (!row.variant.empty()) object["variant"] = row.variant;
  object["optimizer"] = row.config.get_string("optim.name");
  object["lr"] = row.config.get_float("optim.lr");
  add_axes(object, row.axes);
  object["runs"] = row.runs;
  object["diverged"] = row.diverged;
  object["mean"] = json_optional(row.score.mean);
  object["std"] = json_optional(row.score.std);
  object["ci95"] = interval_json(row.score);
  if (row.top5) object["top5"] = *row.top5;
  if (row.drop.n > 0) object["drop"] = {{"mean", json_optional(row.drop.mean)}, {"ci95", interval_json(row.drop)}};
  object["rank"] = row.rank;
  return object;
}

std::optional<double> mean_of(const std::vector<double>& values) { return summarize(values).mean; }

// One row from the outcomes of its cells.
SummaryRow make_row(const Study& study, const std::vector<const CellResult*>& cells, const std::string& metric) {
  SummaryRow row;
  row.config = cells.front()->cell.config;
  row.variant = cells.front()->cell.variant;
  row.axes = other_axes(study, row.config);
  std::vector<double> scores;
  std::vector<double> best;
  std::vector<double> clipped;
  std::vector<double> top5;
  for (const CellResult* result : cells) {
    if (!result->outcome) continue;
    const CellOutcome& outcome = *result->outcome;
    row.failed += outcome.status == "failed" ? 1 : 0;
    row.diverged += outcome.status == "diverged" ? 1 : 0;
    if (outcome.status != "ok") continue;
    scores.push_back(outcome.metrics.at(metric));
    if (const auto it = outcome.best.find(metric); it != outcome.best.end() && std::isfinite(it->second)) {
      best.push_back(it->second);
    }
    if (outcome.clipped_share >= 0) clipped.push_back(outcome.clipped_share);
    if (const auto it = outcome.metrics.find("top5"); it != outcome.metrics.end()) top5.push_back(it->second);
  }
  row.score = summarize(scores);
  row.runs = static_cast<int>(scores.size()) + row.diverged;
  if (best.size() == scores.size()) row.best = mean_of(best);
  row.clipped_share = mean_of(clipped).value_or(-1);
  if (metric == "top1") row.top5 = mean_of(top5);
  return row;
}

// By what guessing gives; five of ten classes would tell little.
bool has_more_than_ten_classes(const StudyFacts& facts, const std::string& floor_key) {
  const auto found = facts.references.find(floor_key);
  if (found == facts.references.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [](const Floor& f) { return f.name == "chance" && f.value < 9.5; });
}

using Cells = std::span<const CellResult>;

// The cell of the reference variant that differs from this one in its variant alone.
const CellResult* reference_of(const Study& study, const CellResult& cell, Cells cells) {
  const auto same_place = [&](const CellResult& other) {
    return std::all_of(study.axes.begin(), study.axes.end(), [&](const Axis& axis) {
      return other.cell.config.value(axis.key) == cell.cell.config.value(axis.key);
    });
  };
  const std::string& reference = study.base.get_string("study.reference");
  const auto it = std::find_if(cells.begin(), cells.end(), [&](const CellResult& other) {
    return other.cell.variant == reference && same_place(other);
  });
  return it == cells.end() ? nullptr : &*it;
}

SampleSummary drop_of(const Study& study, const std::vector<const CellResult*>& row, Cells cells) {
  const std::string& reference = study.base.get_string("study.reference");
  const std::string metric = metric_of(study.base);
  std::vector<double> drops;
  for (const CellResult* result : row) {
    if (reference.empty() || result->cell.variant == reference) continue;
    const CellResult* other = reference_of(study, *result, cells);
    const auto ended = [](const CellResult* r) { return r != nullptr && r->outcome && r->outcome->status == "ok"; };
    if (!ended(result) || !ended(other)) continue;
    const double worse = other->outcome->metrics.at(metric) - result->outcome->metrics.at(metric);
    drops.push_back(higher_is_better(metric) ? worse : -worse);
  }
  return summarize(drops);
}

}  // namespace

bool higher_is_better(std::string_view metric) { return metric != "loss"; }

bool moves_floor(std::string_view key) { return key.starts_with("data.") || key == "model.scale"; }

std::string floor_key(const Study& study, const Config& config) {
  std::string key;
  for (const auto& info : schema()) {
    const bool varies = study.find_axis(info.name) != nullptr || study.varies(info.name);
    if (moves_floor(info.name) && varies)
      key += fmt::format("{}{}={}", key.empty() ? "" : ", ", info.name, config.text(info.name));
  }
  return key;
}

std::vector<SummaryRow> summarize_cells(const Study& study, std::span<const CellResult> cells,
                                        const StudyFacts& facts) {
  const std::string metric = metric_of(study.base);
  const bool higher = higher_is_better(metric);
  std::vector<std::vector<const CellResult*>> groups;
  for (const auto& result : cells) {
    const auto same_row = [&](const auto& group) {
      const Config& a = group.front()->cell.config;
      const Config& b = result.cell.config;
      return group.front()->cell.variant == result.cell.variant && a.value("optim.name") == b.value("optim.name") &&
             other_axes(study, a) == other_axes(study, b);
    };
    const auto group = std::find_if(groups.begin(), groups.end(), same_row);
    if (group != groups.end()) {
      group->push_back(&result);
    } else {
      groups.push_back({&result});
    }
  }
  std::vector<SummaryRow> rows;
  std::vector<RankKey> keys;
  for (const auto& group : groups) {
    SummaryRow row = make_row(study, group, metric);
    row.drop = drop_of(study, group, cells);
    const std::string key = floor_key(study, row.config);
    if (!has_more_than_ten_classes(facts, key)) row.top5.reset();
    if (const auto floor = facts.floors.find(key); floor != facts.floors.end()) {
      row.floor = floor->second;
      row.under_floor =
          row.score.mean && !(higher ? *row.score.mean > row.floor.value : *row.score.mean < row.floor.value);
    }
    keys.push_back({row.score.mean, row.diverged > 0});
    rows.push_back(std::move(row));
  }
  const auto ranks = rank_rows(keys, higher);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].rank = ranks[i];
  return rows;
}

ordered_json results_json(const Study& study, std::span<const CellResult> cells, std::span<const SummaryRow> rows,
                          const StudyFacts& facts) {
  const std::string metric = metric_of(study.base);
  std::set<std::string> names = {metric, "loss"};
  for (const auto& result : cells) {
    if (!result.outcome) continue;
    for (const auto& [name, value] : result.outcome->metrics) names.insert(name);
  }
  ordered_json root;
  root["schema"] = 1;
  root["study"] = study.base.get_string("study.name");
  root["device"] = facts.device;
  root["metric"] = metric;
  root["higher_is_better"] = higher_is_better(metric);
  root["floor"] = nullptr;
  if (!facts.floors.empty()) {
    const Floor& floor = facts.floors.begin()->second;
    root["floor"] = {{"name", floor.name}, {"value", floor.value}};
  }
  root["cells"] = ordered_json::array();
  for (const auto& result : cells) {
    if (!result.outcome) continue;
    ordered_json cell = cell_head(study, result.cell);
    add_ending(cell, *result.outcome);
    cell["metrics"] = metrics_json(names, result.outcome->metrics);
    if (!result.outcome->note.empty()) cell["note"] = result.outcome->note;  // why it did not end well
    root["cells"].push_back(std::move(cell));
  }
  root["summary"] = ordered_json::array();
  for (const auto& row : rows) root["summary"].push_back(row_json(row));
  return root;
}

ordered_json outcome_json(const Study& study, const Cell& cell, const CellOutcome& outcome) {
  ordered_json object;
  object["schema"] = 1;
  object["cell"] = cell.name;
  object.update(cell_head(study, cell));
  object["lr"] = cell.config.get_float("optim.lr");
  add_ending(object, outcome);
  object["metrics"] = outcome.metrics;
  object["best"] = outcome.best;
  object["note"] = outcome.note;
  object["clipped_share"] = outcome.clipped_share >= 0 ? ordered_json(outcome.clipped_share) : ordered_json(nullptr);
  return object;
}

CellOutcome outcome_from_json(const json& object) {
  CellOutcome outcome;
  outcome.status = object.at("status").get<std::string>();
  outcome.steps = object.at("steps").get<std::int64_t>();
  outcome.seconds = object.at("seconds").get<double>();
  outcome.replicas = object.at("replicas").get<int>();
  outcome.metrics = object.at("metrics").get<std::map<std::string, double>>();
  outcome.best = object.at("best").get<std::map<std::string, double>>();
  outcome.note = object.at("note").get<std::string>();
  const json& clipped = object.at("clipped_share");
  outcome.clipped_share = clipped.is_null() ? -1 : clipped.get<double>();
  return outcome;
}

CellOutcome checked_outcome(const Cell& cell, CellOutcome outcome) {
  const std::string metric = metric_of(cell.config);
  GS_CHECK(outcome.status == "ok" || outcome.status == "diverged" || outcome.status == "failed",
           "cell {}: unknown status '{}'", cell.name, outcome.status);
  if (outcome.status == "ok") {
    const auto it = outcome.metrics.find(metric);
    GS_CHECK(it != outcome.metrics.end(), "cell {}: its evaluation gave no {}, by which the study ranks", cell.name,
             metric);
    if (!std::isfinite(it->second)) {
      outcome.status = "diverged";
      outcome.note = fmt::format("{} is {} after the last epoch", metric, it->second);
    }
  }
  std::erase_if(outcome.best, [](const auto& entry) { return !std::isfinite(entry.second); });
  std::erase_if(outcome.metrics, [](const auto& entry) { return !std::isfinite(entry.second); });
  if (outcome.status != "ok") {
    outcome.metrics.clear();
    outcome.best.clear();
  }
  return outcome;
}

}  // namespace gridstep
