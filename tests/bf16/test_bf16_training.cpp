// Training with train.backward = bfloat16: checkpoints equal byte for byte for any number of threads, and unlike those
// of float32.
#include "apps/gridstep/class_runner.h"
#include "apps/gridstep/sr_runner.h"
#include "apps/gridstep/task_runner.h"
#include "engine/study/definition.h"
#include "engine/study/grid.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;

namespace {

const std::string kClass =
    "[study]\nname = \"bits\"\n[model]\nname = \"resnet20\"\n[train]\nepochs = 2\nbatch = 9\n"
    "[data]\nsynthetic_images = 20\nsynthetic_val_images = 10\n[optim]\nlr = 0.01\n";
const std::string kSr =
    "[study]\nname = \"bits\"\n[model]\nname = \"espcn\"\n[train]\nepochs = 2\nbatch = 5\nsteps_per_epoch = 3\n"
    "[data]\nsynthetic_images = 3\nsynthetic_size = 64\nsynthetic_val_images = 1\n[optim]\nlr = 0.001\n";

Cell cell_of(const std::string& toml, const std::string& backward, std::int64_t threads) {
  Study study = parse_study(toml, "test");
  study.base.set("run.threads", threads, "test");
  study.base.set("run.device", std::string("cpu"), "test");
  study.base.set("train.backward", backward, "test");
  return expand_cells(study).front();
}

std::string trained(const std::string& toml, const std::string& backward, std::int64_t threads) {
  const Cell cell = cell_of(toml, backward, threads);
  const TemporaryFolder folder;
  std::unique_ptr<CellRunner> runner;
  if (&toml == &kSr) {
    runner = std::make_unique<SrRunner>(open_device(cell.config));
  } else {
    runner = std::make_unique<ClassRunner>(open_device(cell.config));
  }
  const auto outcomes = runner->run(std::span(&cell, 1), {.folder = folder.path(), .resume = false, .label = ""});
  CHECK(outcomes.front().status == "ok");
  return read_file(folder.path() / "cells" / cell.name / "checkpoints" / "last.safetensors");
}

}  // namespace

TEST_CASE("bf16: training gives the same checkpoint for any number of threads", "[bf16]") {
  for (const std::string* toml : {&kClass, &kSr}) {
    const std::string one = trained(*toml, "bfloat16", 1);
    for (const std::int64_t threads : {2, 4}) CHECK((trained(*toml, "bfloat16", threads) == one));
    CHECK((trained(*toml, "float32", 1) != one));
  }
}

TEST_CASE("bf16: the CPU takes it", "[bf16]") {
  const Cell cell = cell_of(kSr, "bfloat16", 1);
  CHECK_NOTHROW(check_device(*open_device(cell.config), cell.config));
}
