#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/study/tune.h"
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
quant.weight_bits = [8, 4]
train.seed = [0, 1, 2]
[tune]
points = 5
epochs = 2
seeds = [1000, 1001]
)";

Study tuned_study() { return parse_study(kStudy, "tuned.toml"); }

struct Fixture {
  TemporaryFolder temp;
  FakeRunner runner;
  RunOptions options;
  Fixture() {
    log_set_quiet(true);
    options.folder = temp.path() / "tuned";
  }
  TuneReport tune(Study study = tuned_study()) { return tune_rates(std::move(study), runner, options); }
};

}  // namespace

TEST_CASE("first rates lie on a lattice around the optimizer's centre", "[study]") {
  const auto rates = first_rates(tuned_study());
  CHECK(rates.at("adam") == std::vector<double>{1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2});
  CHECK(rates.at("sgd") == std::vector<double>{1e-2, 3.16e-2, 1e-1, 3.16e-1, 1});
}

TEST_CASE("rates beyond the range continue the lattice", "[study]") {
  CHECK(rate_beyond({1e-3, 3.16e-3}, true, 2) == 1e-2);
  CHECK(rate_beyond({3.16e-3, 1e-2}, false, 2) == 1e-3);
  CHECK(rate_beyond({1e-2, 3.16e-2, 1e-1}, true, 2) == 3.16e-1);
  CHECK(rate_beyond({1e-3, 1e-2}, true, 1) == 1e-1);
  // A list off the lattice goes on strictly outside of it.
  CHECK(rate_beyond({1e-3, 2e-3}, true, 2) > 2e-3);
  CHECK(rate_beyond({7e-4, 2e-3}, false, 2) < 7e-4);
}

TEST_CASE("every optimizer has the same budget", "[study]") {
  Study study = tuned_study();
  apply_set(study, "tune.rates.sgd=[0.1, 1]");
  CHECK_THROWS_AS(first_rates(study), ConfigError);
  apply_set(study, "tune.points=2");
  CHECK(first_rates(study).at("sgd") == std::vector<double>{0.1, 1});
  apply_set(study, "tune.rates=auto");
  CHECK(first_rates(study).at("sgd").size() == 2);
}

TEST_CASE("tuning finds the best rate and extends the range at its edge", "[study]") {
  Fixture f;
  const TuneReport report = f.tune();
  // The fake score peaks at 1e-3 for every optimizer: sgd starts at 1e-2 and must walk down three half-decades.
  CHECK(report.rates == std::map<std::string, double>{{"adam", 1e-3}, {"sgd", 1e-3}});
  CHECK(report.trained == 2 * (5 + 5 + 3));
  CHECK(report.table.find("sgd = 0.001\n") != std::string::npos);
  CHECK(std::count(f.runner.trained.begin(), f.runner.trained.end(), "adam-lr0.001-s1001") == 1);
  CHECK_FALSE(fs::exists(f.options.folder / "study.toml"));
  const Study block = parse_study(read_file(f.options.folder / "tune" / "rates.toml"), "rates.toml");
  CHECK(block.rates == report.rates);
  const std::string page = read_file(f.options.folder / "tune" / "tune.md");
  CHECK(page.find("2 epochs") != std::string::npos);
  CHECK(page.find("still on the edge") == std::string::npos);
}

TEST_CASE("a best rate that stays on the edge is marked", "[study]") {
  Fixture f;
  Study study = tuned_study();
  apply_set(study, "tune.max_extensions=2");
  const TuneReport report = f.tune(study);
  CHECK(report.rates.at("sgd") == 1e-3);
  CHECK(report.table.find("sgd: the best of 7 rates is still on the edge") != std::string::npos);
  CHECK(report.table.find("adam: the best") == std::string::npos);
}

TEST_CASE("a finished sweep is shown again and an interrupted one resumes", "[study]") {
  Fixture whole;
  const TuneReport want = whole.tune();
  Fixture f;
  f.runner.interrupt_at = 2;
  CHECK_THROWS_AS(f.tune(), Interrupted);
  CHECK_THROWS_AS(f.tune(), ConfigError);
  f.runner.interrupt_at = -1;
  f.options.resume = true;
  const TuneReport resumed = f.tune();
  CHECK(resumed.table == want.table);
  CHECK(f.runner.trained.size() == whole.runner.trained.size());
  f.options.resume = false;
  const TuneReport shown = f.tune();
  CHECK(shown.trained == 0);
  CHECK(shown.table == want.table);
}

TEST_CASE("rates with a diverged seed cannot win", "[study]") {
  Fixture f;
  f.runner.change = [](const Cell& cell, CellOutcome& outcome) {
    if (cell.config.get_float("optim.lr") == 1e-3 && cell.config.get_int("train.seed") == 1001)
      outcome.status = "diverged";
  };
  const TuneReport report = f.tune();
  CHECK(report.rates.at("adam") != 1e-3);
}

TEST_CASE("tuning on a seed of the study is refused", "[study]") {
  Fixture f;
  Study study = tuned_study();
  apply_set(study, "tune.seeds=[2]");
  CHECK_THROWS_AS(f.tune(study), ConfigError);
  CHECK(f.runner.trained.empty());
}

TEST_CASE("a sweep in which everything diverged ends with its own error", "[study]") {
  Fixture f;
  f.runner.change = [](const Cell&, CellOutcome& outcome) { outcome.status = "diverged"; };
  CHECK_THROWS_AS(f.tune(), DivergedError);
  CHECK(fs::exists(f.options.folder / "tune" / "tune.md"));
}

TEST_CASE("a sweep with a failed cell says so and tries it again", "[study]") {
  Fixture f;
  f.runner.change = [](const Cell& cell, CellOutcome&) {
    if (cell.config.get_string("optim.name") == "sgd" && cell.config.get_float("optim.lr") == 0.1)
      throw DeviceError("no memory for this one");
  };
  const TuneReport report = f.tune();
  CHECK(report.failure.find("no memory for this one") != std::string::npos);
  f.runner.change = nullptr;
  f.options.resume = true;
  CHECK(f.tune().failure.empty());
}
