// `gridstep eval` on checkpoints that are whole as files (right checksum) and wrong as networks.
#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <map>
#include <vector>

#include "apps/gridstep/commands.h"
#include "apps/gridstep/sr_runner.h"
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/io/safetensors.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "engine/train/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;

namespace {

constexpr const char* kStudy = R"(
[study]
name = "eval"
[optim]
name = "adam"
lr = 0.001
[train]
epochs = 1
steps_per_epoch = 2
batch = 2
patch = 9
[data]
name = "synthetic"
synthetic_images = 1
synthetic_size = 48
synthetic_val_images = 1
[run]
device = "cpu"
)";

struct Trained {
  TemporaryFolder folder;
  fs::path checkpoint;

  Trained() {
    log_set_quiet(true);
    Study study = parse_study(kStudy, "test");
    study.base.set("data.cache", (folder.path() / "cache").string(), "test");
    const auto cells = expand_cells(study);
    SrRunner(open_device(cells.front().config)).run(cells, {.folder = folder.path(), .resume = false, .label = ""});
    checkpoint = folder.path() / "cells" / cells.front().name / "checkpoints" / "last.safetensors";
  }

  using Change = std::function<void(std::vector<ArrayView>&, std::map<std::string, std::string>&)>;
  // A copy with other content and the checksum of that.
  fs::path changed(const Change& change) const {
    const SafetensorsFile file(checkpoint);
    std::vector<ArrayView> arrays = file.arrays();
    std::map<std::string, std::string> metadata = file.metadata();
    metadata.erase(kChecksumKey);
    change(arrays, metadata);
    const fs::path path = folder.path() / "changed.safetensors";
    write_safetensors(path, arrays, metadata);
    return path;
  }
};

void eval(const fs::path& checkpoint) {
  CLI::App app;
  add_eval_command(app);
  app.parse("eval --dataset synthetic --device cpu --threads 1 --checkpoint '" + checkpoint.string() + "'");
}

}  // namespace

TEST_CASE("eval: a description of the network that is damaged behind a right checksum is bad data") {
  const Trained trained;
  CHECK_NOTHROW(eval(trained.changed([](auto&, auto&) {})));
  const std::map<std::string, std::vector<std::string>> wrong{
      {"bits", {"", "8", "8;8", "9,8", "8,8,8", "x,y", "-1,8", "99999999999999999999,8"}},
      {"config",
       {"{", "[]", R"({"quant": {"weight_bits": 77}})", R"({"train": {"epoch": 3}})", R"({"quant": {"layers": "x"}})",
        R"({"data": {"normalize": "imagnet"}})"}}};
  for (const auto& [key, values] : wrong) {
    for (const std::string& value : values) {
      INFO(key << " = '" << value << "'");
      const auto file = trained.changed([&, name = key](auto&, auto& metadata) { metadata[name] = value; });
      CHECK_THROWS_AS(eval(file), DataError);
      CHECK_THROWS_WITH(eval(file), Catch::Matchers::Contains("changed.safetensors"));
    }
  }
}

TEST_CASE("eval: a checkpoint with a value that is not finite measures nothing, whatever tensor it is in") {
  const Trained trained;
  const std::size_t count = SafetensorsFile(trained.checkpoint).arrays().size();
  std::size_t refused = 0;
  for (std::size_t a = 0; a < count; ++a) {
    std::vector<float> values;
    std::string name;
    const auto file = trained.changed([&](auto& arrays, auto&) {
      ArrayView& array = arrays[a];
      name = array.name;
      if (!array.holds(DType::kF32)) return;
      values = floats_of(array, "test");
      values.back() = std::numeric_limits<float>::quiet_NaN();
      array.data = std::as_bytes(std::span(values));
    });
    if (values.empty() || name.starts_with(kOptimizerPrefix)) continue;  // the optimizer's are not part of a network
    INFO(name);
    CHECK_THROWS_AS(eval(file), DataError);
    CHECK_THROWS_WITH(eval(file), Catch::Matchers::Contains(name));
    ++refused;
  }
  CHECK(refused >= 6);
}
