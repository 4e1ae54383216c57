#include <set>
#include <string>

#include "engine/base/error.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

Study study_of(const std::string& toml) { return parse_study(toml, "s.toml"); }

std::vector<std::string> names_of(const std::vector<Cell>& cells) {
  std::vector<std::string> names;
  for (const auto& cell : cells) names.push_back(cell.name);
  return names;
}

std::string refused(const std::string& toml) {
  try {
    expand_cells(study_of(toml));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

const std::string kRates = "[rates]\nadam = 0.001\nsgd = 0.1\nnesterov = 0.1\nsgd_clip = 0.1\nrmsprop = 0.001\n";

}  // namespace

TEST_CASE("a grid expands with the optimizer outermost and the seed innermost", "[study]") {
  const auto cells = expand_cells(
      study_of(kRates + "[grid]\ntrain.seed = [0, 3]\nquant.weight_bits = [8, 4]\noptim.name = [\"sgd\", \"adam\"]\n"));
  CHECK(names_of(cells) == std::vector<std::string>{"sgd-w8-s0", "sgd-w8-s3", "sgd-w4-s0", "sgd-w4-s3", "adam-w8-s0",
                                                    "adam-w8-s3", "adam-w4-s0", "adam-w4-s3"});
  CHECK(cells[7].config.get_int("quant.weight_bits") == 4);
  CHECK(cells[7].config.get_int("train.seed") == 3);
  CHECK(cells[7].config.get_float("optim.lr") == 0.001);
  CHECK(cells[0].config.get_float("optim.lr") == 0.1);
  CHECK(cells[7].config.origin("optim.lr") == "[rates]");
  using Axes = std::vector<std::pair<std::string, std::string>>;
  CHECK(cells[7].axes == Axes{{"quant.weight_bits", "4"}, {"optim.name", "adam"}, {"train.seed", "3"}});
}

TEST_CASE("cell names are safe as file names and unique", "[study]") {
  CHECK(names_of(expand_cells(study_of(kRates))) == std::vector<std::string>{"adam-s0"});
  const auto cells = expand_cells(study_of(
      kRates +
      "[data]\nname = \"image_folder\"\n[schedule]\nname = \"multistep\"\n[grid]\n"
      "data.root = [\"../a b/c\", \"../a_b/c\"]\nschedule.milestones = [[2, 4], [3]]\noptim.lr = [1e-5, 0.5]\n"));
  std::set<std::string> seen;
  for (const auto& cell : cells) {
    INFO(cell.name);
    CHECK(cell.name.find_first_of("/\\ []:,") == std::string::npos);
    CHECK(seen.insert(cell.name).second);
  }
  CHECK(seen.size() == 8);
}

TEST_CASE("groups share an architecture and populations are even", "[study]") {
  const auto cells =
      expand_cells(study_of(kRates + "[grid]\noptim.name = [\"adam\", \"sgd\"]\nquant.weight_bits = [8, 2]\ntrain.seed "
                                     "= [0, 1, 2, 3, 4]\noptim.weight_decay = [0.0, 0.1]\n"));
  REQUIRE(cells.size() == 40);
  const auto groups = architecture_groups(cells);
  REQUIRE(groups.size() == 2);
  for (const auto& group : groups) CHECK(group.size() == 20);
  const auto populations = split_population(groups[1], 8);
  REQUIRE(populations.size() == 3);
  std::vector<std::string> joined;
  for (const auto& population : populations) {
    CHECK(population.size() >= 6);
    CHECK(population.size() <= 7);
    for (const auto& cell : population) joined.push_back(cell.name);
  }
  CHECK(joined == names_of(groups[1]));
  CHECK(split_population(groups[0], 100).size() == 1);
  CHECK_THROWS_AS(split_population(groups[0], 0), Error);
}

TEST_CASE("impossible combinations name their keys", "[study]") {
  const auto has = [](const std::string& toml, const std::string& part) {
    const std::string message = refused(kRates + toml);
    INFO(toml);
    INFO(message);
    CHECK(message.find(part) != std::string::npos);
  };
  has("[quant]\nweight_range = \"ternary\"\n", "quant.weight_bits = 2, not 8");
  has("[quant]\nfloat_epochs = 10\n", "train.epochs = 10");
  has("[optim]\nname = \"nesterov\"\nmomentum = 0.0\n", "momentum");
  has("[optim]\nname = \"sgd\"\ndampening = 0.5\n", "optim.momentum of sgd is 0");
  has("[schedule]\nname = \"multistep\"\n", "needs schedule.milestones");
  has("[schedule]\nname = \"multistep\"\nmilestones = [4, 4]\n", "must increase");
  has("[schedule]\nname = \"multistep\"\nmilestones = [4, 10]\n", "beyond train.epochs");
  has("[schedule]\nname = \"step\"\nstep_epochs = 10\n", "never steps");
  has("[train]\npatch = 100\n", "data.synthetic_size = 192");
  has("[study]\nname = \"a/b\"\n", "names a folder");
  CHECK(refused(kRates + "[grid]\ntrain.backward = [\"float32\", \"bfloat16\"]\n") == "accepted");
  CHECK(refused(kRates + "[train]\nbackward = \"bfloat16\"\n[run]\ndevice = \"cuda\"\n") == "accepted");
  CHECK(refused(kRates + "[quant]\nweight_range = \"ternary\"\nweight_bits = 2\n") == "accepted");
}

TEST_CASE("settings without effect are refused", "[study]") {
  const auto has = [](const std::string& toml, const std::string& part) {
    const std::string message = refused(kRates + toml);
    INFO(toml);
    INFO(message);
    CHECK(message.find(part) != std::string::npos);
  };
  has("[optim]\ncentered = true\n", "s.toml:8: optim.centered = true has no effect: only rmsprop uses it");
  has("[optim]\nname = \"nesterov\"\ndampening = 0.5\n", "no dampening");
  has("[quant]\nquantizer = \"none\"\nmask = \"rounded\"\n",
      "quant.mask = rounded has no effect: nothing is quantized (quant.quantizer = none");
  has("[quant]\nweight_bits = 32\nweight_range = \"full\"\n", "quant.weight_range = full has no effect");
  has("[quant]\nweight_bits = 32\nper_channel = false\n", "quant.per_channel = false has no effect");
  has("[quant]\nweight_bits = 32\nactivation_bits = 32\nfloat_epochs = 1\n", "quant.float_epochs = 1 has no effect");
  has("[schedule]\ngamma = 0.5\n", "schedule.gamma = 0.5 has no effect");
  has("[run]\ncapture = \"off\"\ndevice = \"cpu\"\n", "run.capture = off has no effect");
  has("[run]\nconv = \"own\"\ndevice = \"cpu\"\n", "run.conv = own has no effect: it chooses among CUDA's");
  has("[run]\nconv = \"cudnn\"\n[quant]\narithmetic = \"float\"\n", "run.conv = cudnn has no effect");
  has("[data]\nroot = \"x\"\n", "data.root = x has no effect");
  has("[grid]\noptim.name = [\"adam\", \"sgd\"]\noptim.momentum = [0.0, 0.9]\n",
      "grid axis 'optim.momentum' has no effect on cell adam");
  // One user among the optimizers is enough for a plain setting.
  CHECK(refused(kRates + "[optim]\nmomentum = 0.9\n[grid]\noptim.name = [\"adam\", \"sgd\"]\n") == "accepted");
}

TEST_CASE("a missing learning rate is an error that says where to put it", "[study]") {
  const std::string message = refused("[optim]\nname = \"lion\"\n");
  CHECK(message.find("no learning rate for optimizer 'lion'") != std::string::npos);
  CHECK(message.find("--set rates.lion=") != std::string::npos);
  CHECK(refused("[optim]\nname = \"lion\"\nlr = 0.1\n") == "accepted");
}

TEST_CASE("a study has a bounded number of cells, variants counted", "[study]") {
  std::string seeds, epochs;
  for (int i = 0; i < 300; ++i) seeds += std::to_string(i) + ",", epochs += std::to_string(i + 1) + ",";
  const Study study = parse_study("[optim]\nlr = 0.1\n[grid]\ntrain.seed = [" + seeds + "]\ntrain.epochs = [" + epochs +
                                      "]\n[variant.a]\n[variant.b]\nquant.weight_bits = 4\n",
                                  "a.toml");
  CHECK_THROWS_WITH(expand_cells(study), Catch::Contains("more than 100000 cells"));
}
