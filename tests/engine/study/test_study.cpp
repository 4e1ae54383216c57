#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/study/run_folder.h"
#include "engine/study/study.h"
#include "tests/engine/study/fake_runner.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;
using gridstep::testing::FakeRunner;

namespace {

const char* const kStudy = R"(
[grid]
optim.name = ["adam", "sgd"]
train.seed = [0, 1, 2, 3, 4]
[rates]
adam = 0.001
sgd = 0.01
)";

Study small_study() { return parse_study(kStudy, "small.toml"); }

struct Fixture {
  TemporaryFolder temp;
  FakeRunner runner;
  RunOptions options;
  Fixture() {
    log_set_quiet(true);
    options.folder = temp.path() / "runs" / "small";
  }
  StudyReport run(bool resume = false, Study study = small_study()) {
    options.resume = resume;
    return run_study(std::move(study), runner, options);
  }
  std::string file(const std::string& name) const { return read_file(options.folder / name); }
  std::string refusal(bool resume, Study study = small_study()) {
    try {
      run(resume, std::move(study));
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "accepted";
  }
};

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("a study trains every cell once and writes its folder", "[study]") {
  Fixture f;
  const StudyReport report = f.run();
  CHECK(report.trained == 10);
  CHECK(f.runner.populations == std::vector<std::size_t>{3, 3, 4});
  CHECK(std::set<std::string>(f.runner.trained.begin(), f.runner.trained.end()).size() == 10);
  for (const char* name : {"study.toml", "environment.json", "results.json", "table.md", "cells/sgd-s4/result.json"}) {
    INFO(name);
    CHECK(fs::exists(f.options.folder / name));
  }
  CHECK(nlohmann::json::parse(f.file("results.json"))["cells"].size() == 10);
  CHECK(report.rows[0].rank == 1);
  CHECK(parse_study(f.file("study.toml"), "") == small_study());
  CHECK_NOTHROW(check_report(report, true));
}

TEST_CASE("a finished study is shown again without a runner", "[study]") {
  Fixture f;
  const StudyReport first = f.run();
  const std::string results = f.file("results.json");
  f.runner.device = "somewhere else";
  f.runner.floors_asked = 0;
  for (const bool resume : {false, true}) {
    const StudyReport again = f.run(resume);
    CHECK(again.trained == 0);
    CHECK(again.table == first.table);
  }
  CHECK(f.runner.trained.size() == 10);
  CHECK(f.runner.floors_asked == 0);
  CHECK(f.file("results.json") == results);
}

TEST_CASE("a finished study is shown again from a folder that cannot be written", "[study]") {
  Fixture f;
  f.run();
  ::chmod(f.options.folder.c_str(), 0500);
  CHECK(f.run().trained == 0);
  ::chmod(f.options.folder.c_str(), 0700);
}

TEST_CASE("what this device cannot train is refused before anything is written, and shown where it has ended",
          "[study]") {
  Fixture f;
  f.runner.refused = "sgd-s4";
  CHECK_THROWS_AS(f.run(), DeviceError);
  CHECK_THROWS_AS(plan_text(small_study(), expand_cells(small_study()), f.runner), DeviceError);
  CHECK(f.runner.trained.empty());
  CHECK_FALSE(fs::exists(f.options.folder));
  f.runner.refused.clear();
  const StudyReport first = f.run();
  f.runner.refused = "sgd-s4";
  CHECK(f.run().table == first.table);
}

TEST_CASE("an interrupted study resumes to the same results", "[study]") {
  Fixture whole;
  whole.run();
  Fixture f;
  f.runner.interrupt_at = 1;
  CHECK_THROWS_AS(f.run(), Interrupted);
  CHECK(nlohmann::json::parse(f.file("results.json"))["cells"].size() == 3);
  has(f.file("table.md"), "UNFINISHED: 7 of 10");
  has(f.refusal(false), "3 of 10 cells have ended. Add --resume");
  f.runner.interrupt_at = -1;
  const StudyReport report = f.run(true);
  CHECK(report.trained == 7);
  CHECK(f.runner.trained.size() == 10);
  CHECK(f.runner.populations == std::vector<std::size_t>{3, 3, 3, 4});
  CHECK(f.file("results.json") == whole.file("results.json"));
  CHECK(f.file("table.md") == whole.file("table.md"));
}

TEST_CASE("a kill between a population's results repeats only the lost cells", "[study]") {
  Fixture f;
  f.run();
  const std::string results = f.file("results.json");
  fs::remove(f.options.folder / "cells" / "adam-s1" / "result.json");
  fs::remove(f.options.folder / "results.json");
  f.runner.trained.clear();
  has(f.refusal(false), "--resume");
  CHECK(f.run(true).trained == 1);
  CHECK(f.runner.trained == std::vector<std::string>{"adam-s1"});
  auto cells = nlohmann::json::parse(f.file("results.json"))["cells"];
  CHECK(cells.size() == 10);
}

TEST_CASE("a resumed study plans nothing for networks that have ended", "[study]") {
  Fixture f;
  Study study = small_study();
  apply_set(study, "grid.quant.weight_bits=8,4,2");
  f.run(false, study);
  CHECK(f.runner.groups_planned == 3);
  f.runner.groups_planned = 0;
  fs::remove(f.options.folder / "cells" / "sgd-w4-s1" / "result.json");
  CHECK(f.run(true, study).trained == 1);
  CHECK(f.runner.groups_planned == 1);
}

TEST_CASE("resume starts where nothing is", "[study]") {
  Fixture f;
  CHECK(f.run(true).trained == 10);
}

TEST_CASE("failed cells are tried again, diverged ones are not", "[study]") {
  Fixture f;
  f.runner.change = [](const Cell& cell, CellOutcome& outcome) {
    if (cell.name == "adam-s0") outcome.status = "failed";
    if (cell.name == "adam-s1") outcome.status = "diverged";
  };
  const StudyReport report = f.run();
  CHECK_THROWS_AS(check_report(report, false), Error);
  has(f.refusal(false), "--resume");
  f.runner.trained.clear();
  f.runner.change = nullptr;
  CHECK_NOTHROW(check_report(f.run(true), false));
  CHECK(f.runner.trained == std::vector<std::string>{"adam-s0"});
}

TEST_CASE("a folder of another study is refused with the keys that differ", "[study]") {
  Fixture f;
  f.run();
  Study other = small_study();
  apply_set(other, "train.batch=32");
  apply_set(other, "grid.train.seed=0,1");
  apply_set(other, "rates.sgd=0.02");
  for (const bool resume : {false, true}) {
    const std::string message = f.refusal(resume, other);
    has(message, "train.batch (16 there, 32 now)");
    has(message, "train.seed ([0, 1, 2, 3, 4] there, [0, 1] now)");
    has(message, "rates.sgd (0.01 there, 0.02 now)");
  }
  Study elsewhere = small_study();
  apply_set(elsewhere, "run.threads=3");
  apply_set(elsewhere, "train.replicas=1");
  CHECK(f.run(false, elsewhere).trained == 0);
}

TEST_CASE("a start that trained nothing leaves the folder free", "[study]") {
  Fixture f;
  struct NoDevice : FakeRunner {
    std::vector<CellOutcome> run(std::span<const Cell>, const RunOptions&) override { throw DeviceError("no memory"); }
  } broken;
  CHECK_THROWS_AS(run_study(small_study(), broken, f.options), DeviceError);
  CHECK(fs::exists(f.options.folder / "study.toml"));
  Study other = small_study();
  apply_set(other, "train.batch=8");
  CHECK(f.run(false, other).trained == 10);
  CHECK(parse_study(f.file("study.toml"), "") == other);
}

TEST_CASE("folders that are no run folders are refused", "[study]") {
  Fixture f;
  fs::create_directories(f.options.folder);
  write_file_atomic(f.options.folder / "thesis.tex", "years of work");
  has(f.refusal(true), "it holds 'thesis.tex'");
  CHECK(f.runner.trained.empty());
  write_file_atomic(f.temp.path() / "file", "");
  f.options.folder = f.temp.path() / "file" / "inside";
  has(f.refusal(false), "cannot create the run folder");
}

TEST_CASE("a second process on the same folder is refused", "[study]") {
  Fixture f;
  fs::create_directories(f.options.folder);
  {
    const FolderLock other(f.options.folder);
    has(f.refusal(false), "in use by another gridstep process");
    CHECK(f.runner.trained.empty());
  }
  CHECK(f.run().trained == 10);
}

TEST_CASE("a damaged result names its file", "[study]") {
  Fixture f;
  f.run();
  for (const char* content : {"{\"status\": ", "{\"status\": \"ok\"}", "[]"}) {
    write_file_atomic(f.options.folder / "cells" / "adam-s1" / "result.json", content);
    try {
      f.run(true);
      FAIL("accepted");
    } catch (const DataError& e) {
      has(e.what(), "adam-s1/result.json is damaged");
    }
  }
}

TEST_CASE("the data folder of a finished study need not be given again", "[study]") {
  Fixture f;
  Study study = small_study();
  apply_set(study, "data.name=image_folder");
  Study with_root = study;
  apply_set(with_root, "data.root=" + f.temp.path().string());
  f.run(false, with_root);
  CHECK(f.run(false, study).trained == 0);
  Study spelt = study;
  apply_set(spelt, "data.root=" + (f.temp.path() / "x" / "..").string());
  CHECK(f.run(false, spelt).trained == 0);
  Study elsewhere = study;
  apply_set(elsewhere, "data.root=/elsewhere");
  has(f.refusal(false, elsewhere), "data.root");
}

TEST_CASE("gates: everything diverged, rows under the floor", "[study]") {
  Fixture f;
  f.runner.floor_value = 29.4;
  const StudyReport report = f.run();
  CHECK(report.rows[1].under_floor);
  CHECK_NOTHROW(check_report(report, false));
  try {
    check_report(report, true);
    FAIL("accepted");
  } catch (const GateError& e) {
    CHECK(e.exit_code() == 6);
  }
  Fixture g;
  g.runner.change = [](const Cell&, CellOutcome& outcome) { outcome.status = "diverged"; };
  try {
    check_report(g.run(), false);
    FAIL("accepted");
  } catch (const DivergedError& e) {
    CHECK(e.exit_code() == 5);
  }
}

TEST_CASE("a resume on another device lists both", "[study]") {
  Fixture f;
  f.runner.interrupt_at = 1;
  CHECK_THROWS_AS(f.run(), Interrupted);
  f.runner.interrupt_at = -1;
  f.runner.device = "cuda: fake";
  f.run(true);
  CHECK(nlohmann::json::parse(f.file("results.json"))["device"] == "cpu: fake + cuda: fake");
  CHECK(nlohmann::json::parse(f.file("environment.json"))["environments"].size() == 2);
}

TEST_CASE("floors differ along axes of scale", "[study]") {
  Fixture f;
  Study study = small_study();
  apply_set(study, "grid.model.scale=2,4");
  const StudyReport report = f.run(false, study);
  CHECK(f.runner.floors_asked == 2);
  CHECK(report.facts.floors.size() == 2);
  has(report.table, "bicubic");
}

TEST_CASE("a dry run writes nothing", "[study]") {
  Fixture f;
  const std::string plan = plan_text(small_study(), expand_cells(small_study()), f.runner);
  has(plan, "10 cells in 3 populations");
  has(plan, "adam-s0 adam-s1");
  CHECK_FALSE(fs::exists(f.options.folder));
}

TEST_CASE("an error in one population fails its cells only, and a resume tries them again", "[study]") {
  Fixture f;
  f.runner.fail_at = 1;
  const StudyReport report = f.run();
  CHECK(f.runner.trained.size() == 7);
  CHECK(report.cells[3].outcome->status == "failed");
  CHECK(report.cells[3].outcome->note == "no memory for this one");
  has(report.table, "failed: ");
  CHECK_THROWS_WITH(check_report(report, false), Catch::Matchers::Contains("3 of 10 cells failed"));
  CHECK(nlohmann::json::parse(f.file("results.json"))["cells"][3]["status"] == "failed");
  f.runner.fail_at = -1;
  const StudyReport again = f.run(true);
  CHECK(again.trained == 3);
  CHECK_NOTHROW(check_report(again, false));
}

TEST_CASE("an error before any cell has ended ends the study", "[study]") {
  Fixture f;
  f.runner.fail_at = 0;
  CHECK_THROWS_AS(f.run(), DeviceError);
  CHECK(f.runner.trained.empty());
}
