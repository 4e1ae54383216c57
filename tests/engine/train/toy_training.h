// Training graphs of a small super-resolution network on random photos, as the engine's trainer takes them.
#pragma once

#include "engine/graph/backward.h"
#include "engine/passes/emit_codes.h"
#include "engine/passes/fuse.h"
#include "engine/train/population.h"
#include "kernels/add/add.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/patch_batch/patch_batch.h"
#include "models/model.h"
#include "tests/support/photo_set.h"

namespace gridstep::test {

class ToyTraining {
 public:
  explicit ToyTraining(int bits = 8, bool fused = true, bool per_channel = true) : fuse_(fused) {
    options_.quant.per_channel = per_channel;
    options_.scale = 2;
    options_.quant.weight_bits = options_.quant.activation_bits = bits;
  }

  TrainingGraphs graphs() const {
    return {.train = [this](const Phase& phase) { return train(phase); },
            .calibration = [this](const Phase& phase) { return calibration(phase); },
            .health = [this](const Phase& phase) { return calibration(phase); }};
  }

  PopulationOptions options(std::int64_t epochs = 2) const {
    return {.steps_per_epoch = 3, .epochs = epochs, .phases = {quantized()}, .batch = kBatch};
  }

  // The phase with the bits of this training, from an epoch on.
  Phase quantized(std::int64_t from = 0) const {
    return {from, true, options_.quant.weight_bits, options_.quant.activation_bits};
  }

  static ReplicaSettings replica(std::string_view optimizer, std::uint64_t seed, double lr) {
    ReplicaSettings r;
    r.seed = seed;
    r.rule = find_optimizer(optimizer);
    r.optimizer = resolve_settings(r.rule);
    r.lr = lr;
    return r;
  }

 private:
  static constexpr std::uint32_t kBatch = 9;

  ModelOptions options_of(const Phase& phase) const {
    ModelOptions options = options_;
    options.quant.enabled = phase.quantized;
    options.quant.weight_bits = phase.weight_bits;
    options.quant.activation_bits = phase.activation_bits;
    return options;
  }

  Graph train(const Phase& phase) const {
    Graph g;
    const PatchBatch batch = patch_batch(g, "batch", {photos_.table(), kBatch, 5, 2});
    const ValueId output = build_espcn(g, batch.lr, options_of(phase)).output;
    const ValueId loss = image_loss(g, "loss", output, batch.hr, LossKind::kMse);
    if (fuse_) fuse(g);
    differentiate(g, loss, add_op());
    if (fuse_) emit_weight_codes(g);
    return g;
  }

  CalibrationGraph calibration(const Phase& phase) const {
    CalibrationGraph result;
    const PatchBatch batch = patch_batch(result.graph, "batch", {photos_.table(), kBatch, 5, 2});
    result.sites = build_espcn(result.graph, batch.lr, options_of(phase)).quantizers;
    return result;
  }

  PhotoSet photos_{{{12, 9}, {7, 16}, {20, 20}}, 2};
  ModelOptions options_;
  bool fuse_;
};

}  // namespace gridstep::test
