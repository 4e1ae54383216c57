// Promise 4, end to end: the same bits run to run, for any number of threads, stopped and resumed, alone or in a
// population, fused or not, tiled or whole. Compared are whole checkpoint files, byte for byte.
#include <nlohmann/json.hpp>

#include "apps/gridstep/network_config.h"
#include "apps/gridstep/sr_evaluator.h"
#include "apps/gridstep/sr_runner.h"
#include "engine/base/error.h"
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
[train]
epochs = 2
steps_per_epoch = 5
batch = 5
patch = 9
[data]
name = "synthetic"
synthetic_images = 3
synthetic_size = 72
synthetic_val_images = 2
[grid]
optim.name = ["adam", "sgd_clip", "agc_sgd", "lion"]
train.seed = [0, 1]
[rates]
adam = 0.001
sgd_clip = 0.1
agc_sgd = 0.1
lion = 0.0002
)";

struct Options {
  std::int64_t threads = 2;
  std::string fuse = "all", arithmetic = "codes";
  std::vector<std::string> set{};
  bool resume = false;
};

std::vector<Cell> cells_of(const Options& o, const fs::path& folder) {
  Study study = parse_study(kStudy, "test");
  study.base.set("run.threads", o.threads, "test");
  study.base.set("run.device", std::string("cpu"), "test");
  study.base.set("run.fuse", o.fuse, "test");
  study.base.set("quant.arithmetic", o.arithmetic, "test");
  study.base.set("data.cache", (folder / "cache").string(), "test");
  for (const auto& s : o.set) apply_set(study, s);
  return expand_cells(study);
}

std::vector<CellOutcome> train(const fs::path& folder, std::span<const Cell> cells, const Options& o) {
  SrRunner runner(open_device(cells.front().config));
  return runner.run(cells, {.folder = folder, .resume = o.resume, .label = ""});
}

std::string last_checkpoint(const fs::path& folder, const Cell& cell) {
  return read_file(folder / "cells" / cell.name / "checkpoints" / "last.safetensors");
}

// Trains the cells as one population and returns their last checkpoints.
std::vector<std::string> checkpoints(const Options& o, std::size_t only = SIZE_MAX) {
  const TemporaryFolder folder;
  auto cells = cells_of(o, folder.path());
  if (only != SIZE_MAX) cells = {cells[only]};
  train(folder.path(), cells, o);
  std::vector<std::string> files;
  for (const Cell& cell : cells) files.push_back(last_checkpoint(folder.path(), cell));
  return files;
}

Image pattern(int height, int width) {
  Image image(height, width, 3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * i % 251);
  return image;
}

const std::vector<std::string>& reference() {
  static const std::vector<std::string> files = checkpoints({});
  return files;
}

}  // namespace

TEST_CASE("two runs give the same bits") { CHECK((checkpoints({}) == reference())); }

TEST_CASE("the number of threads changes no bit") {
  CHECK((checkpoints({.threads = 1}) == reference()));
  CHECK((checkpoints({.threads = 4}) == reference()));
}

TEST_CASE("every replica equals its solo run") {
  for (std::size_t i = 0; i < reference().size(); ++i) {
    CAPTURE(i);
    CHECK((checkpoints({}, i) == std::vector<std::string>{reference()[i]}));
  }
}

TEST_CASE("fused and unfused training give the same bits") { CHECK((checkpoints({.fuse = "none"}) == reference())); }

TEST_CASE("seeds and optimizers do differ") {
  for (std::size_t i = 1; i < reference().size(); ++i) CHECK(reference()[i] != reference()[0]);
}

TEST_CASE("stopped and resumed equals uninterrupted, also with other populations") {
  const TemporaryFolder folder;
  const Options whole{.set = {"train.checkpoint_steps=3"}};
  const auto cells = cells_of(whole, folder.path());
  // The rate is constant, so a run of one epoch leaves what a stop after the first epoch would.
  train(folder.path(), cells, whole);
  const TemporaryFolder early;
  Options half = whole;
  half.set.push_back("train.epochs=1");
  const auto short_cells = cells_of(half, early.path());
  train(early.path(), short_cells, half);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const fs::path to = folder.path() / "cells" / cells[i].name, from = early.path() / "cells" / cells[i].name;
    fs::copy(from, to, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  }
  Options resumed = whole;
  resumed.resume = true;
  train(folder.path(), std::span(cells).first(3), resumed);
  train(folder.path(), std::span(cells).subspan(3), resumed);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    CAPTURE(cells[i].name);
    CHECK((last_checkpoint(folder.path(), cells[i]) == reference()[i]));  // in brackets: not to print files
    const std::string lines = read_file(folder.path() / "cells" / cells[i].name / "metrics.jsonl");
    CHECK(std::count(lines.begin(), lines.end(), '\n') == 2);
  }
}

TEST_CASE("a float warm-up, calibration and training resume to the same bits") {
  const std::vector<std::string> set = {"train.epochs=3", "quant.float_epochs=1"};
  const auto uninterrupted = checkpoints({.set = set});
  const TemporaryFolder folder;
  Options o{.set = set};
  const auto cells = cells_of(o, folder.path());
  Options first = o;
  first.set[0] = "train.epochs=2";
  train(folder.path(), cells_of(first, folder.path()), first);
  o.resume = true;
  train(folder.path(), cells, o);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    // The checkpoint names the configuration, which the shorter run did not change for this file: it was written by the
    // longer one.
    CHECK((last_checkpoint(folder.path(), cells[i]) == uninterrupted[i]));
  }
}

TEST_CASE("tiled evaluation equals whole evaluation bit for bit") {
  const TemporaryFolder folder;
  const auto cells = cells_of({}, folder.path());
  const auto outcome = train(folder.path(), std::span(cells).first(1), {});
  REQUIRE(outcome[0].status == "ok");
  const SafetensorsFile file(folder.path() / "cells" / cells[0].name / "checkpoints" / "last.safetensors");
  const SrTask task = sr_task(cells[0].config);
  const auto device = make_cpu_device(2);
  ParameterStore store(*device, sr_inference_graph(task, 8, 8, final_phase(task.options.quant)).parameters(), 1, 0,
                       false);
  load_checkpoint(file, store, 0, 0);
  const SrDataset data = open_sr_dataset(sr_data(cells[0].config, "val"));
  const std::vector<SrPhoto> none;
  const ImageView lr = data.photos()[0].lr;
  const Image whole = SrEvaluator(task, none, 0, Bytes{1} << 30).enlarge(store, 0, lr, final_phase(task.options.quant));
  for (const int tile : {5, 7, 16}) {
    CAPTURE(tile);
    CHECK(SrEvaluator(task, none, tile, Bytes{1} << 30).enlarge(store, 0, lr, final_phase(task.options.quant)) ==
          whole);
  }
}

TEST_CASE("a network that is not finite enlarges nothing") {
  const SrTask task = sr_task(cells_of({}, fs::path())[0].config);
  const auto device = make_cpu_device(1);
  ParameterStore store(*device, sr_inference_graph(task, 8, 8, Phase{}).parameters(), 1, 0, false);
  store.initialise({1});
  const std::vector<SrPhoto> none;
  const Image image = pattern(9, 11);
  SrEvaluator evaluator(task, none, 0, Bytes{1} << 30);
  CHECK(evaluator.enlarge(store, 0, image, Phase{}).height == 9 * task.scale());
  std::vector<float> weights = store.download(store.weights(), 0);
  weights[0] = std::nanf("");
  store.upload(store.weights(), 0, weights);
  CHECK_THROWS_AS(evaluator.enlarge(store, 0, image, Phase{}), DataError);
}

TEST_CASE("networks evaluated in groups, with programs dropped in between, measure as all at once") {
  const TemporaryFolder folder;
  const auto cells = cells_of({.set = {"train.epochs=1"}}, folder.path());
  train(folder.path(), std::span(cells).first(3), {});
  const SrTask task = sr_task(cells[0].config);
  const auto device = make_cpu_device(2);
  ParameterStore store(*device, sr_inference_graph(task, 8, 8, final_phase(task.options.quant)).parameters(), 3, 0,
                       false);
  for (int r = 0; r < 3; ++r) {
    const auto name = cells[static_cast<std::size_t>(r)].name;
    load_checkpoint(SafetensorsFile(folder.path() / "cells" / name / "checkpoints" / "last.safetensors"), store, r, 0);
  }
  // Three sizes, so that the programs of all images take more than those of one.
  std::vector<Image> images;
  for (const int side : {24, 16, 20}) {
    for (const int scale : {1, task.scale()}) images.push_back(pattern(side * scale, (side + 3) * scale));
  }
  std::vector<SrPhoto> photos;
  for (std::size_t i = 0; i < images.size(); i += 2) photos.push_back({"", images[i].view(), images[i + 1].view()});
  const Phase phase = final_phase(task.options.quant);
  SrEvaluator ample(task, photos, 0, Bytes{1} << 30);
  const Bytes all = ample.planned_bytes(DeviceKind::kCpu, 3, phase),
              one = ample.planned_bytes(DeviceKind::kCpu, 1, phase);
  CHECK(all == 3 * one);
  const auto wanted = ample.evaluate(store, phase, true);
  SrEvaluator tight(task, photos, 0, one);
  CHECK(tight.planned_bytes(DeviceKind::kCpu, 3, phase) <= one);
  const auto measured = tight.evaluate(store, phase, true);
  for (std::size_t r = 0; r < 3; ++r) {
    CHECK(measured[r].psnr_y == wanted[r].psnr_y);
    CHECK(measured[r].ssim_y == wanted[r].ssim_y);
    CHECK(measured[r].loss == wanted[r].loss);
  }
  CHECK_THROWS_AS(SrEvaluator(task, photos, 0, one / 8).evaluate(store, phase, true), DeviceError);
}

TEST_CASE("codes and float arithmetic train to nearly the same loss") {
  const TemporaryFolder a, b;
  // At rates where ten steps do not amplify the last bit: agc_sgd at 0.1 differs by 7 % between instruction sets.
  const std::vector<std::string> calm{"rates.agc_sgd=0.01"};
  const Options codes{.set = calm}, plain{.arithmetic = "float", .set = calm};
  const auto with_codes = train(a.path(), cells_of(codes, a.path()), codes),
             with_floats = train(b.path(), cells_of(plain, b.path()), plain);
  for (std::size_t i = 0; i < with_codes.size(); ++i) {
    CHECK(with_codes[i].metrics.at("loss") == Approx(with_floats[i].metrics.at("loss")).epsilon(0.002));
  }
}

TEST_CASE("a replica that diverges is recorded and leaves the others untouched") {
  const TemporaryFolder folder;
  auto cells = cells_of({}, folder.path());
  cells[2].config.set("optim.lr", 1e30, "test");
  const auto outcomes = train(folder.path(), cells, {});
  CHECK(outcomes[2].status == "diverged");
  CHECK_FALSE(outcomes[2].note.empty());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i == 2) continue;
    CHECK(outcomes[i].status == "ok");
    CHECK((last_checkpoint(folder.path(), cells[i]) == reference()[i]));  // in brackets: not to print files
  }
}

TEST_CASE("debug mode runs clean") {
  const TemporaryFolder folder;
  const Options o{.set = {"run.debug=1", "train.steps_per_epoch=2", "train.epochs=1"}};
  for (const auto& outcome : train(folder.path(), cells_of(o, folder.path()), o)) CHECK(outcome.status == "ok");
}

TEST_CASE("a plan larger than the memory is refused before anything is allocated") {
  const TemporaryFolder folder;
  const Options o{.set = {"train.batch=65536", "train.patch=24"}};
  const auto cells = cells_of(o, folder.path());
  std::vector<Cell> many;
  for (int i = 0; i < 4096; ++i) many.push_back(cells[0]);
  CHECK_THROWS_AS(train(folder.path(), many, o), DeviceError);
}

TEST_CASE("a resume on other photos is refused") {
  const TemporaryFolder folder;
  const Options o{.set = {"train.epochs=1"}};
  train(folder.path(), cells_of(o, folder.path()), o);
  Options other{.set = {"data.synthetic_images=4"}};
  other.resume = true;
  CHECK_THROWS_AS(train(folder.path(), cells_of(other, folder.path()), other), DataError);
}
