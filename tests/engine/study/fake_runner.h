// A CellRunner that trains nothing: scores come from a formula, and endings are chosen by the test.
#pragma once

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/study/runner.h"

namespace gridstep::testing {

class FakeRunner : public CellRunner {
 public:
  int replicas = 4;
  double floor_value = 28.0;
  int fail_at = -1;       // index of the call of run() that ends with an error
  int interrupt_at = -1;  // index of the call of run() that is interrupted after its checkpoints
  std::string device = "cpu: fake";
  std::string refused;                                    // this cell cannot be trained here
  std::function<void(const Cell&, CellOutcome&)> change;  // the last word on an outcome
  std::vector<std::string> trained;                       // names, in order
  std::vector<std::size_t> populations;                   // sizes
  int floors_asked = 0;
  int groups_planned = 0;

  // A parabola over the decades of the rate with its top at 1e-3, and a little of the seed.
  static double score(const Config& config) {
    const double decades = std::log10(config.get_float("optim.lr") / 1e-3);
    return 29.5 - 0.25 * decades * decades + 0.01 * static_cast<double>(config.get_int("train.seed"));
  }

  void require_trainable(const Cell& cell) override {
    if (cell.name == refused) throw DeviceError("not on this device");
  }

  int preferred_replicas(const Config&) override {
    ++groups_planned;
    return replicas;
  }

  std::vector<CellOutcome> run(std::span<const Cell> cells, const RunOptions& options) override {
    const int call = static_cast<int>(populations.size());
    populations.push_back(cells.size());
    for (const auto& cell : cells) {
      fs::create_directories(options.folder / "cells" / cell.name / "checkpoints");
      write_file_atomic(options.folder / "cells" / cell.name / "checkpoints" / "last.safetensors", "state");
    }
    if (call == fail_at) throw DeviceError("no memory for this one");
    if (call == interrupt_at) throw Interrupted("stopped after a checkpoint");
    std::vector<CellOutcome> outcomes;
    for (const auto& cell : cells) {
      trained.push_back(cell.name);
      CellOutcome outcome;
      outcome.status = "ok";
      outcome.steps = 400;
      outcome.seconds = 1.5;
      outcome.replicas = static_cast<int>(cells.size());
      outcome.metrics = {{"psnr_y", score(cell.config)}, {"psnr_rgb", score(cell.config) - 2}, {"loss", 0.002}};
      outcome.best = {{"psnr_y", score(cell.config) + 0.05}};
      if (change) change(cell, outcome);
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  }

  Floor floor(const Config&) override {
    ++floors_asked;
    return {"bicubic", floor_value};
  }
  std::string device_name() override { return device; }
  std::string protocol(const Config& config) override {
    return "PSNR-Y, BT.601, crop " + config.text("model.scale") + " px";
  }
  nlohmann::json environment() override { return {{"version", "0"}}; }
  std::string plan(std::span<const Cell>) override { return "  a plan\n"; }
};

}  // namespace gridstep::testing
