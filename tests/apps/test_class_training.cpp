// Promise 4 for classifiers: the same bits run to run, for any number of threads, stopped and resumed, alone or in a
// population, fused or not. Compared are whole checkpoint files, byte for byte. And that a network learns.
#include <cmath>
#include <cstring>
#include <map>

#include "apps/gridstep/class_evaluator.h"
#include "apps/gridstep/class_runner.h"
#include "apps/gridstep/network_config.h"
#include "engine/base/error.h"
#include "engine/io/safetensors.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "engine/train/checkpoint.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;

namespace {

constexpr const char* kStudy = R"(
[study]
name = "bits"
[model]
name = "resnet20"
[train]
epochs = 2
batch = 9
label_smoothing = 0.1
[data]
name = "synthetic"
synthetic_images = 30
synthetic_val_images = 20
crop_padding = 4
mirror = true
[quant]
float_epochs = 1
weight_bits = 4
activation_bits = 4
[optim]
lr = 0.01
[grid]
optim.name = ["sgd", "adam"]
train.seed = [0, 1]
)";

struct Options {
  std::int64_t threads = 2;
  std::string fuse = "all";
  std::vector<std::string> set{};
};

std::vector<Cell> cells_of(const Options& o) {
  Study study = parse_study(kStudy, "test");
  study.base.set("run.threads", o.threads, "test");
  study.base.set("run.device", std::string("cpu"), "test");
  study.base.set("run.fuse", o.fuse, "test");
  for (const auto& s : o.set) apply_set(study, s);
  return expand_cells(study);
}

std::vector<CellOutcome> train(const fs::path& folder, std::span<const Cell> cells, bool resume = false) {
  ClassRunner runner(open_device(cells.front().config));
  return runner.run(cells, {.folder = folder, .resume = resume, .label = ""});
}

std::string last_checkpoint(const fs::path& folder, const Cell& cell) {
  return read_file(folder / "cells" / cell.name / "checkpoints" / "last.safetensors");
}

// Trains the cells as one population and returns their last checkpoints.
std::vector<std::string> checkpoints(const Options& o, std::size_t only = SIZE_MAX) {
  const TemporaryFolder folder;
  auto cells = cells_of(o);
  if (only != SIZE_MAX) cells = {cells[only]};
  train(folder.path(), cells);
  std::vector<std::string> files;
  for (const Cell& cell : cells) files.push_back(last_checkpoint(folder.path(), cell));
  return files;
}

const std::vector<std::string>& reference() {
  static const std::vector<std::string> files = checkpoints({});
  return files;
}

// The network of a training on its validation images, batch normalisation folded into convolutions or not.
ClassMetrics measured(const fs::path& folder, const Cell& cell, bool fold) {
  const LabelledDataset data = open_labelled_dataset(labelled_data(cell.config, "val"));
  ClassTask task = class_task(cell.config, data.classes());
  CHECK(task.fold);
  task.fold = fold;
  const auto device = open_device(cell.config);
  ParameterStore store(
      *device, class_evaluation_graph(task, 1, data.side(), final_phase(task.options.quant)).parameters(), 1, 0, false);
  const SafetensorsFile file(folder / "cells" / cell.name / "checkpoints" / "last.safetensors");
  load_checkpoint(file, store, 0, 0);
  return ClassEvaluator(task, data, data.count(), Bytes{1} << 30).evaluate(store, final_phase(task.options.quant))[0];
}

}  // namespace

TEST_CASE("classifiers: threads and fusion change no bit") {
  CHECK((checkpoints({.threads = 1}) == reference()));
  CHECK((checkpoints({.threads = 3, .fuse = "none"}) == reference()));
  for (std::size_t i = 1; i < reference().size(); ++i) CHECK((reference()[i] != reference()[0]));
}

TEST_CASE("classifiers: every replica equals its solo run") {
  for (const std::size_t i : {1u, 2u}) {
    CAPTURE(i);
    CHECK((checkpoints({}, i) == std::vector<std::string>{reference()[i]}));
  }
}

TEST_CASE("classifiers: augmented and normalised images keep every bit as well") {
  const std::vector<std::string> set = {"data.autoaugment=cifar10", "data.normalize=cifar10"};
  const auto population = checkpoints({.set = set});
  for (const char* one : {"data.autoaugment=cifar10", "data.normalize=cifar10"})
    CHECK((checkpoints({.set = {one}}, 0)[0] != population[0]));
  CHECK((population[0] != reference()[0]));
  CHECK((checkpoints({.threads = 3, .fuse = "none", .set = set}) == population));
  CHECK((checkpoints({.set = set}, 2)[0] == population[2]));
}

TEST_CASE("classifiers: stopped after the float phase and resumed equals uninterrupted") {
  const std::vector<std::string> longer = {"train.epochs=3"};
  const auto uninterrupted = checkpoints({.set = longer});
  const TemporaryFolder folder;
  train(folder.path(), cells_of({}));  // its rate is constant: what a stop after two epochs would leave
  const auto cells = cells_of({.set = longer});
  train(folder.path(), std::span(cells).first(3), true);
  train(folder.path(), std::span(cells).subspan(3), true);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    CAPTURE(cells[i].name);
    CHECK((last_checkpoint(folder.path(), cells[i]) == uninterrupted[i]));
  }
}

TEST_CASE("classifiers: falling bits, frozen and re-estimated statistics resume to the same bits") {
  const std::vector<std::string> set = {"train.epochs=4", "quant.float_epochs=0", "quant.progressive=2:8,8",
                                        "train.frozen_norm_epochs=1", "train.norm_batches=2"};
  const auto uninterrupted = checkpoints({.set = set});
  CHECK((checkpoints({.threads = 1, .fuse = "none", .set = set}) == uninterrupted));
  const auto cells = cells_of({.set = set});
  // The rate is constant: this is what a stop after three epochs would leave.
  const TemporaryFolder folder;
  train(folder.path(), cells_of({.set = {"train.epochs=3", "quant.float_epochs=0", "quant.progressive=2:8,8"}}));
  train(folder.path(), cells, true);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    CAPTURE(cells[i].name);
    CHECK((last_checkpoint(folder.path(), cells[i]) == uninterrupted[i]));
  }
}

TEST_CASE("classifiers: re-estimated statistics are the mean over batches, and nothing else moves") {
  const auto statistics = [](const std::string& batches) {
    const TemporaryFolder folder;
    const auto cells = cells_of({.set = {"train.norm_batches=" + batches}});
    train(folder.path(), std::span(cells).first(1));
    const SafetensorsFile file(folder.path() / "cells" / cells[0].name / "checkpoints" / "last.safetensors");
    std::map<std::string, std::vector<float>> tensors;
    for (const char* name : {"bn1.running_mean", "layer3.2.bn2.running_var", "bn1.weight", "layer1.0.conv1.weight"}) {
      const ArrayView* view = file.find(name);
      REQUIRE(view != nullptr);
      tensors[name] = floats_of(*view, file.path());
    }
    return tensors;
  };
  const auto none = statistics("0"), one = statistics("1"), three = statistics("3");
  CHECK(none.at("bn1.running_mean") != one.at("bn1.running_mean"));
  CHECK(one.at("bn1.running_mean") != three.at("bn1.running_mean"));
  CHECK(none.at("layer3.2.bn2.running_var") != one.at("layer3.2.bn2.running_var"));
  CHECK(none.at("bn1.weight") == three.at("bn1.weight"));
  CHECK(none.at("layer1.0.conv1.weight") == three.at("layer1.0.conv1.weight"));
}

// As the training left it, but for one element.
void poison(const fs::path& path, const std::string& tensor, float value) {
  std::vector<ArrayView> arrays;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> bytes;
  {
    const SafetensorsFile file(path);
    arrays = file.arrays();
    metadata = file.metadata();
    for (const ArrayView& a : arrays) bytes.emplace_back(reinterpret_cast<const char*>(a.data.data()), a.data.size());
  }
  metadata.erase(kChecksumKey);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (arrays[i].name == tensor) std::memcpy(bytes[i].data(), &value, sizeof value);
    arrays[i].data = std::as_bytes(std::span(bytes[i]));
  }
  write_safetensors(path, arrays, metadata);
}

TEST_CASE("classifiers: a NaN or infinity in a checkpoint of one of eight is found, and the others keep their bits") {
  const Options half{.set = {"grid.train.seed=0,1,2,3"}}, whole{.set = {"train.epochs=3", "grid.train.seed=0,1,2,3"}};
  const auto cells = cells_of(whole);
  REQUIRE(cells.size() == 8);
  const auto wanted = checkpoints(whole);
  const TemporaryFolder early;
  train(early.path(), cells_of(half));
  constexpr std::size_t kPoisoned = 2;
  const auto [tensor, value] =
      GENERATE(std::pair{"conv1.weight", std::nanf("")}, std::pair{"fc.bias", HUGE_VALF},
               std::pair{"layer1.0.bn1.weight", -HUGE_VALF}, std::pair{"layer2.0.bn1.running_mean", std::nanf("")});
  CAPTURE(tensor, value);
  const TemporaryFolder folder;
  fs::copy(early.path(), folder.path(), fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  poison(folder.path() / "cells" / cells[kPoisoned].name / "checkpoints" / "last.safetensors", tensor, value);
  const auto outcomes = train(folder.path(), cells, true);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    CAPTURE(cells[i].name);
    CHECK(outcomes[i].status == (i == kPoisoned ? "diverged" : "ok"));
    if (i != kPoisoned) CHECK((last_checkpoint(folder.path(), cells[i]) == wanted[i]));
  }
  CHECK_THAT(outcomes[kPoisoned].note,
             Catch::Matchers::Contains("not finite in ") && Catch::Matchers::Contains("step "));
}

TEST_CASE("classifiers: a short training beats the majority class by far") {
  const TemporaryFolder folder;
  const auto cells =
      cells_of({.set = {"train.epochs=6", "quant.float_epochs=4", "train.batch=20", "optim.lr=0.003",
                        "data.synthetic_images=900", "data.synthetic_val_images=100", "data.mirror=false",
                        "data.crop_padding=0", "quant.weight_bits=8", "quant.activation_bits=8"}});
  const auto outcome = train(folder.path(), std::span(cells).subspan(2, 1));  // adam
  REQUIRE(outcome[0].status == "ok");
  CHECK(outcome[0].metrics.at("top1") > 40.0);
  CHECK(outcome[0].metrics.at("top5") > 80.0);

  const ClassMetrics folded = measured(folder.path(), cells[2], true), plain = measured(folder.path(), cells[2], false);
  CHECK(folded.top1 == outcome[0].metrics.at("top1"));  // trainings measure what would be deployed
  CHECK(folded.loss == outcome[0].metrics.at("loss"));
  CAPTURE(folded.top1, plain.top1, folded.loss, plain.loss);
  CHECK(std::fabs(folded.top1 - plain.top1) <= 1.0);  // one image
  CHECK(folded.loss == Approx(plain.loss).epsilon(1e-3));
}

TEST_CASE("classifiers: floors and what cannot be trained") {
  const auto cells = cells_of({});
  ClassRunner runner(open_device(cells.front().config));
  const Floor floor = runner.floor(cells.front().config);
  CHECK(floor.name == "majority");
  CHECK(floor.value == Approx(10.0));
  CHECK(runner.references(cells.front().config)[0].value == Approx(10.0));
  const auto large = cells_of({.set = {"train.batch=31"}});
  const TemporaryFolder folder;
  CHECK_THROWS_AS(train(folder.path(), std::span(large).first(1)), DataError);
  CHECK_THROWS_WITH(cells_of({.set = {"data.name=div2k"}}), Catch::Matchers::Contains("classification"));
  CHECK_THROWS_WITH(cells_of({.set = {"study.metric=psnr_y"}}), Catch::Matchers::Contains("psnr_y"));
}
