#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/base/error.h"
#include "engine/study/results.h"
#include "engine/study/table.h"
#include "tests/engine/study/fake_runner.h"
#include "tests/support/catch.h"

using namespace gridstep;
using nlohmann::json;

namespace {

const char* const kStudy = R"(
[study]
name = "three"
[train]
epochs = 6
[grid]
optim.name = ["adam", "sgd", "sgd_clip"]
train.seed = [0, 1]
[rates]
adam = 0.001
sgd = 0.1
sgd_clip = 0.0316
[tune]
points = 5
)";

CellOutcome outcome(double psnr, double clipped = -1) {
  CellOutcome o;
  o.status = "ok";
  o.steps = 100;
  o.seconds = 2.5;
  o.replicas = 6;
  o.metrics = {{"psnr_y", psnr}, {"loss", 0.25}};
  o.best = {{"psnr_y", psnr + 0.5}};
  o.clipped_share = clipped;
  return o;
}

struct Example {
  Study study = parse_study(kStudy, "three.toml");
  std::vector<CellResult> cells;
  StudyFacts facts{"cpu: example", "PSNR-Y, BT.601, crop 3 px", {{"", Floor{"bicubic", 28.0}}}};

  Example() {
    for (auto& cell : expand_cells(study)) cells.push_back({std::move(cell), std::nullopt});
    cells[0].outcome = outcome(30);
    cells[1].outcome = outcome(31);
    cells[2].outcome = outcome(27);
    cells[3].outcome = CellOutcome{"diverged", 12, 0.5, 6, {}, {}, "NaN in conv2 at step 12", -1};
    cells[4].outcome = outcome(28.5, 0.0);
    cells[5].outcome = outcome(28.5, 0.0);
  }
  std::vector<SummaryRow> rows() const { return summarize_cells(study, cells, facts); }
  json results() const { return json(results_json(study, cells, rows(), facts)); }
};

}  // namespace

TEST_CASE("results.json keeps schema 1", "[study]") {
  const json root = Example().results();
  const auto keys = [](const json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    return names;
  };
  CHECK(keys(root) == std::vector<std::string>{"cells", "device", "floor", "higher_is_better", "metric", "schema",
                                               "study", "summary"});
  CHECK(root["schema"] == 1);
  CHECK(root["study"] == "three");
  CHECK(root["floor"] == json({{"name", "bicubic"}, {"value", 28.0}}));
  REQUIRE(root["cells"].size() == 6);
  CHECK(root["cells"][0] == json({{"optimizer", "adam"},
                                  {"seed", 0},
                                  {"status", "ok"},
                                  {"steps", 100},
                                  {"seconds", 2.5},
                                  {"replicas", 6},
                                  {"metrics", {{"psnr_y", 30.0}, {"loss", 0.25}}}}));
  CHECK(root["cells"][3]["status"] == "diverged");
  CHECK(root["cells"][3]["note"] == "NaN in conv2 at step 12");
  CHECK(root["cells"][3]["metrics"] == json({{"psnr_y", nullptr}, {"loss", nullptr}}));
  REQUIRE(root["summary"].size() == 3);
  const json& adam = root["summary"][0];
  CHECK(keys(adam) == std::vector<std::string>{"ci95", "diverged", "lr", "mean", "optimizer", "rank", "runs", "std"});
  CHECK(adam["mean"] == 30.5);
  CHECK(adam["runs"] == 2);
  CHECK(adam["rank"] == 1);
  CHECK(adam["std"].get<double>() == Approx(std::sqrt(0.5)).epsilon(1e-12));
  CHECK(adam["ci95"][0].get<double>() == Approx(30.5 - 12.7062047 * 0.5).epsilon(1e-8));
  const json& sgd = root["summary"][1];
  CHECK(sgd["runs"] == 2);
  CHECK(sgd["diverged"] == 1);
  CHECK(sgd["mean"] == 27.0);
  CHECK(sgd["std"].is_null());
  CHECK(sgd["ci95"].is_null());
  CHECK(sgd["rank"] == 3);
}

TEST_CASE("other grid keys stand beside the optimizer", "[study]") {
  Example example;
  apply_set(example.study, "grid.quant.weight_bits=8,2");
  apply_set(example.study, "grid.optim.name=adam");
  example.cells.clear();
  for (auto& cell : expand_cells(example.study)) example.cells.push_back({std::move(cell), outcome(29)});
  const json root = example.results();
  REQUIRE(root["cells"].size() == 4);
  CHECK(root["cells"][2]["quant.weight_bits"] == 2);
  REQUIRE(root["summary"].size() == 2);
  CHECK(root["summary"][1]["quant.weight_bits"] == 2);
  CHECK(root["summary"][1]["runs"] == 2);
}

TEST_CASE("a study in which everything diverged has null figures", "[study]") {
  Example example;
  for (auto& result : example.cells) result.outcome = CellOutcome{"diverged", 1, 0, 1, {}, {}, "", -1};
  const json root = example.results();
  for (const auto& row : root["summary"]) {
    CHECK(row["mean"].is_null());
    CHECK(row["rank"] == 1);
    CHECK(row["diverged"] == 2);
  }
}

TEST_CASE("an outcome survives its file", "[study]") {
  const Example example;
  const json file = json::parse(outcome_json(example.study, example.cells[4].cell, *example.cells[4].outcome).dump());
  const CellOutcome back = outcome_from_json(file);
  CHECK(back.metrics == example.cells[4].outcome->metrics);
  CHECK(back.best == example.cells[4].outcome->best);
  CHECK(back.clipped_share == 0);
  CHECK(back.steps == 100);
  CHECK(file["cell"] == "sgd_clip-s0");
  CHECK(file["lr"] == 0.0316);
}

TEST_CASE("outcomes are checked before they count", "[study]") {
  const Example example;
  const Cell& cell = example.cells[0].cell;
  CHECK(checked_outcome(cell, outcome(std::numeric_limits<double>::quiet_NaN())).status == "diverged");
  CHECK(checked_outcome(cell, outcome(std::numeric_limits<double>::infinity())).metrics.empty());
  CHECK(checked_outcome(cell, outcome(30)).status == "ok");
  CellOutcome without = outcome(30);
  without.metrics.erase("psnr_y");
  CHECK_THROWS_AS(checked_outcome(cell, without), Error);
  without.status = "fine";
  CHECK_THROWS_AS(checked_outcome(cell, without), Error);
}

TEST_CASE("the terminal table, to the letter", "[study]") {
  const Example example;
  const std::string want = R"(three
  network: espcn x3, relu, W8A8 lsq, first and last layer 8 bits
  training: synthetic, 6 epochs, batch 16, patch 17 px (low resolution), loss mse, schedule constant
  measured: PSNR-Y, BT.601, crop 3 px, after the last epoch; higher is better
  rates tried: 5 per optimizer, 2 per decade, seed 1000, 6 epochs each, up to 3 more where the best is on the
  edge
  device: cpu: example

optimizer  learning rate      mean    std     95 % interval  runs  diverged  rank   best*  clipped
---------  -------------  --------  -----  ----------------  ----  --------  ----  ------  -------
adam               0.001  30.500    0.707  24.147 .. 36.853     2         0     1  31.000
sgd_clip          0.0316  28.500    0.000  28.500 .. 28.500     2         0     2  29.000    0.0 %
sgd                  0.1  27.000 !      -                 -     2         1     3  27.500
---------  -------------  --------  -----  ----------------  ----  --------  ----  ------  -------
bicubic                   28.000

UNDER THE FLOOR (!): sgd. A network that does not beat bicubic has not learned its task within 6 epochs; its
  rank means nothing.
CLIPPING NEVER ACTED in sgd_clip: the row shows the optimizer without clipping.
diverged: sgd-s1 (NaN in conv2 at step 12).
interval: Student-t, 95 %, of the mean over the runs that did not diverge; *: mean of each run's best epoch,
  chosen on the same images, so it flatters.
)";
  CHECK(study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kTerminal) == want);
}

TEST_CASE("intervals of shares end at 0 and 100 % in tables, not in results.json", "[study]") {
  Example example;
  apply_set(example.study, "model.name=resnet20");
  example.cells.clear();
  for (auto& cell : expand_cells(example.study)) {
    CellOutcome o = outcome(0);
    o.metrics = o.best = {{"top1", cell.config.get_int("train.seed") == 0 ? 98.0 : 100.0}, {"loss", 0.25}};
    example.cells.push_back({std::move(cell), o});
  }
  const auto table = study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kTerminal);
  CHECK(table.find("86.29 .. 100.00") != std::string::npos);
  CHECK(example.results()["summary"][0]["ci95"][1].get<double>() > 100.0);
}

TEST_CASE("of more than ten classes the table shows top-5 beside top-1", "[study]") {
  for (const double chance : {1.0, 10.0}) {
    Example example;
    apply_set(example.study, "model.name=resnet20");
    example.cells.clear();
    for (auto& cell : expand_cells(example.study)) {
      CellOutcome o = outcome(0);
      o.metrics = o.best = {{"top1", 40.0}, {"top5", 72.5}, {"loss", 0.25}};
      example.cells.push_back({std::move(cell), o});
    }
    example.facts.references[floor_key(example.study, example.cells[0].cell.config)] = {{"chance", chance}};
    const auto table = study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kTerminal);
    CHECK((table.find("top-5") != std::string::npos) == (chance == 1.0));
    CHECK((table.find("72.50") != std::string::npos) == (chance == 1.0));
    CHECK(example.results()["summary"][0].contains("top5") == (chance == 1.0));
  }
}

TEST_CASE("tables fit a terminal of 110 columns and Markdown has its rules", "[study]") {
  const Example example;
  std::istringstream lines(
      study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kTerminal));
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 110);
  const std::string md =
      study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kMarkdown);
  CHECK(md.find("# three\n") == 0);
  CHECK(md.find("| --------- | ------------: |") != std::string::npos);
  CHECK(md.find("| bicubic   |") != std::string::npos);
}

TEST_CASE("an unfinished table says so", "[study]") {
  Example example;
  example.cells[5].outcome.reset();
  const auto table = study_table(example.study, example.cells, example.rows(), example.facts, TableStyle::kTerminal);
  CHECK(table.find("UNFINISHED: 1 of 6 cells") != std::string::npos);
}
