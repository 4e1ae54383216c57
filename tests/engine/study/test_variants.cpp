#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/study/study.h"
#include "tests/engine/study/fake_runner.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;
using gridstep::testing::FakeRunner;

namespace {

const char* const kStudy = R"(
[study]
reference = "float"
[optim]
name = "sgd"
[grid]
train.seed = [0, 1]
[variant.float]
quant.quantizer = "none"
[variant.w8a8]
start = "float"
[variant.w4a4]
start = "w8a8"
quant.weight_bits = 4
quant.activation_bits = 4
[rates]
sgd = 0.01
)";

std::string refusal(const std::string& text, const std::vector<std::string>& sets = {}) {
  try {
    Study study = parse_study(text, "rows.toml");
    for (const auto& set : sets) apply_set(study, set);
    expand_cells(study);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

std::string with(const std::string& line) { return kStudy + ("\n[variant.more]\n" + line + "\n"); }

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

StudyReport run(FakeRunner& runner, const fs::path& folder, bool resume = false) {
  log_set_quiet(true);
  return run_study(parse_study(kStudy, "rows.toml"), runner, {.folder = folder, .resume = resume, .label = ""});
}

}  // namespace

TEST_CASE("variants times grid, in the order of the file", "[variants]") {
  const auto cells = expand_cells(parse_study(kStudy, "rows.toml"));
  std::vector<std::string> names, starts;
  for (const Cell& cell : cells) {
    names.push_back(cell.name);
    starts.push_back(cell.start);
  }
  CHECK(names == std::vector<std::string>{"float-s0", "float-s1", "w8a8-s0", "w8a8-s1", "w4a4-s0", "w4a4-s1"});
  CHECK(starts == std::vector<std::string>{"", "", "float-s0", "float-s1", "w8a8-s0", "w8a8-s1"});
  CHECK(cells[0].config.get_string("quant.quantizer") == "none");
  CHECK(cells[3].config.get_int("quant.weight_bits") == 8);
  CHECK(cells[5].config.get_int("quant.weight_bits") == 4);
  CHECK(cells[5].depth == 2);
}

TEST_CASE("a resolved study with variants reads back as itself", "[variants]") {
  const Study study = parse_study(kStudy, "rows.toml");
  CHECK(parse_study(to_toml(study), "") == study);
  CHECK(study_identity(parse_study(to_toml(study), "")) == study_identity(study));
  Study other = study;
  apply_set(other, "variant.w4a4.quant.weight_bits=3");
  CHECK(study_identity(other) != study_identity(study));
}

TEST_CASE("JSON keeps the order of variants", "[variants]") {
  const auto cells = expand_cells(parse_study(
      R"({"optim": {"lr": 0.1}, "variant": {"z": {"quant.quantizer": "none"}, "a": {"start": "z"}}})", "rows.json"));
  REQUIRE(cells.size() == 2);
  CHECK(cells[0].name == "z-s0");
  CHECK(cells[1].start == "z-s0");
}

TEST_CASE("a key set for all variants and variants left out", "[variants]") {
  Study study = parse_study(kStudy, "rows.toml");
  apply_set(study, "quant.weight_bits=3");
  for (const Cell& cell : expand_cells(study)) CHECK(cell.config.get_int("quant.weight_bits") == 3);
  apply_set(study, "run.variants=float, w8a8");
  const auto cells = expand_cells(study);
  REQUIRE(cells.size() == 6);
  for (const Cell& cell : cells) CHECK(cell.left_out == (cell.variant == "w4a4"));
  has(refusal(kStudy, {"run.variants=w8a8"}), "run.variants must name both");
  has(refusal(kStudy, {"run.variants=w8a9"}), "did you mean 'w8a8'");
}

TEST_CASE("mistakes in variants are named", "[variants]") {
  has(refusal(with("start = \"w9\"")), "names no variant that stands before it; there are: float, w8a8, w4a4");
  has(refusal(with("start = \"more\"")), "names no variant");
  has(refusal(with("start = \"float\"\nmodel.scale = 2")), "has model.scale = 2 and starts from 'float', which has 3");
  has(refusal(with("start = \"w8a8\"\nquant.weight_bits = 4\nquant.activation_bits = 4")),
      "'w4a4' and 'more' would train the same networks");
  has(refusal(with("quant.wieght_bits = 3")), "did you mean 'quant.weight_bits'");
  has(refusal(with("quant.weight_bits = 9")), "rows.toml:20: quant.weight_bits = 9");
  has(refusal(with("run.threads = 1")), "says how to run");
  has(refusal(with("train.seed = 3")), "which is a grid axis too");
  has(refusal(with("quant.quantizer = \"none\"\nquant.weight_bits = 4")), "has no effect");
  has(refusal(kStudy, {"study.reference=flaot"}), "did you mean 'float'");
  has(refusal(kStudy, {"variant.bad name.start=float"}), "use letters");
  has(refusal("[variant]\nw = 3\n"), "expected a table");
}

TEST_CASE("what a variant sets must act in one of its cells", "[variants]") {
  const std::string study =
      "[grid]\noptim.name = [\"adam\", \"sgd\"]\n[rates]\nadam = 0.001\nsgd = 0.1\n[variant.plain]\n";
  CHECK(refusal(study + "[variant.heavy]\noptim.momentum = 0.9\n") == "accepted");
  has(refusal(study + "[variant.clipped]\noptim.max_norm = 1.0\n"), "has no effect");
}

TEST_CASE("the rates that a study's cells take from [rates] are part of what it is, and no others", "[variants]") {
  const auto rates_in = [](const std::string& variants) {
    std::vector<std::string> names;
    for (const auto& [key, value] :
         study_identity(parse_study(variants + "[rates]\nadam = 0.001\nsgd = 0.1\nlion = 0.1\n", "r.toml"))) {
      if (key.starts_with("rates.")) names.push_back(key);
    }
    return names;
  };
  CHECK(rates_in("[variant.a]\noptim.lr = 0.1\n[variant.b]\noptim.lr = 0.2\n").empty());
  CHECK(rates_in("[optim]\nlr = 0.1\n[variant.a]\noptim.lr = 0\noptim.name = \"sgd\"\n[variant.b]\n") ==
        std::vector<std::string>{"rates.sgd"});
  CHECK(rates_in("[variant.a]\noptim.name = \"sgd\"\n[variant.b]\n") ==
        std::vector<std::string>{"rates.adam", "rates.sgd"});
}

TEST_CASE("variants trained one after the other end in one table", "[variants]") {
  const TemporaryFolder temp;
  FakeRunner runner;
  log_set_quiet(true);
  const auto run_variants = [&](const std::string& names) {
    Study study = parse_study(kStudy, "rows.toml");
    if (!names.empty()) apply_set(study, "run.variants=" + names);
    return run_study(study, runner, {.folder = temp.path() / "rows", .resume = true, .label = ""});
  };
  const StudyReport first = run_variants("float");
  CHECK(runner.trained == std::vector<std::string>{"float-s0", "float-s1"});
  CHECK(first.trained == 2);
  CHECK_NOTHROW(check_report(first, false));
  has(first.table, "UNFINISHED: 4 of 6");
  run_variants("");
  const std::string results = read_file(temp.path() / "rows" / "results.json");
  CHECK(nlohmann::json::parse(results)["cells"].size() == 6);
  CHECK(run_variants("float").trained == 0);
  CHECK(read_file(temp.path() / "rows" / "results.json") == results);
}

TEST_CASE("rows of another scale have their own floor and protocol", "[variants]") {
  const TemporaryFolder temp;
  FakeRunner runner;
  log_set_quiet(true);
  const Study study = parse_study("[optim]\nlr = 0.1\n[variant.x3]\n[variant.x2]\nmodel.scale = 2\n", "scales.toml");
  const auto report = run_study(study, runner, {.folder = temp.path() / "rows", .resume = false, .label = ""});
  has(report.table, "bicubic, scale 3");
  has(report.table, "bicubic, scale 2");
  has(report.table, "crop 3 px; PSNR-Y, BT.601, crop 2 px");
}

TEST_CASE("the column of drops counts what is worse, also where lower is better", "[variants]") {
  const TemporaryFolder temp;
  FakeRunner runner;
  log_set_quiet(true);
  runner.change = [](const Cell& cell, CellOutcome& outcome) {
    outcome.metrics["loss"] = cell.variant == "float" ? 0.5 : 0.75;
  };
  Study study = parse_study(kStudy, "rows.toml");
  apply_set(study, "study.metric=loss");
  const auto report = run_study(study, runner, {.folder = temp.path() / "rows", .resume = false, .label = ""});
  CHECK(report.rows[1].drop.mean.value() == Approx(0.25));
  has(report.table, "how much worse than float in loss");
}

TEST_CASE("starts are trained first, and the table compares run by run", "[variants]") {
  const TemporaryFolder temp;
  FakeRunner runner;
  runner.change = [](const Cell& cell, CellOutcome& outcome) {
    outcome.metrics["psnr_y"] -= cell.variant == "float" ? 0.0 : cell.variant == "w8a8" ? 0.25 : 1.0;
  };
  const StudyReport report = run(runner, temp.path() / "rows");
  CHECK(runner.trained == std::vector<std::string>{"float-s0", "float-s1", "w8a8-s0", "w8a8-s1", "w4a4-s0", "w4a4-s1"});
  REQUIRE(report.rows.size() == 3);
  CHECK(report.rows[0].drop.n == 0);
  CHECK(report.rows[1].drop.mean.value() == Approx(0.25));
  CHECK(report.rows[2].drop.mean.value() == Approx(1.0));
  const auto results = nlohmann::json::parse(read_file(temp.path() / "rows" / "results.json"));
  CHECK(results["cells"][2]["variant"] == "w8a8");
  CHECK(results["summary"][2]["drop"]["mean"] == Approx(1.0));
  has(report.table, "w4a4");
  has(report.table, "drop");
  CHECK(run(runner, temp.path() / "rows").table == report.table);
}

TEST_CASE("what a diverged start leaves without a network is diverged too, and the rest goes on", "[variants]") {
  const TemporaryFolder temp;
  FakeRunner runner;
  runner.change = [](const Cell& cell, CellOutcome& outcome) {
    if (cell.name == "w8a8-s1") outcome.status = "diverged";
  };
  const StudyReport report = run(runner, temp.path() / "rows");
  CHECK(runner.trained == std::vector<std::string>{"float-s0", "float-s1", "w8a8-s0", "w8a8-s1", "w4a4-s0"});
  CHECK(report.cells[5].outcome->status == "diverged");
  has(report.cells[5].outcome->note, "w8a8-s1, from which it starts, diverged");
}
