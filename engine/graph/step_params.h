// What changes from step to step, one entry per replica, in device memory: so that one recorded (and one captured)
// program serves a whole schedule and a whole grid. The trainer refills it before every step; transcendentals are
// computed on the host, in double.
#pragma once

#include <cstdint>

namespace gridstep {

constexpr int kHyper = 8;

struct StepParams {
  std::uint64_t seed = 0;          // of data order and initial weights
  std::uint32_t epoch = 0;         // from 0
  std::uint32_t first_sample = 0;  // index within the epoch of the batch's first sample
  std::uint32_t step = 1;          // optimizer step, from 1
  std::int32_t rule = 0;           // index in the optimizer registry
  float lr = 0.0f;
  float weight_decay = 0.0f;       // of weights (Role::kWeight), in the rule's own manner: L2 or decoupled
  float step_lr_factor = 1.0f;     // learning rate of quantizer steps = lr * factor
  float step_weight_decay = 0.0f;  // of quantizer steps; 0 unless set
  float hyper[kHyper] = {};        // the rule's own numbers: see optim/<name>.h
  float step_hyper[kHyper] = {};   // the same for quantizer steps: their updates are counted from calibration
};

// What a replica reports; written on the device, read by the host at epoch ends. All zero at the start.
struct ReplicaStatus {
  // (step << 32 | node + 1) of the first NaN or infinity met, 0 when there was none: a replica with a fault is skipped
  // by the optimizer from then on.
  std::uint64_t first_fault = 0;
  std::uint64_t inexact =
      0;  // output channels whose sum of |weight codes| allows sums beyond 2^24 (float accumulation)
  std::uint64_t clipped = 0;    // units (agc_sgd) or steps (sgd_clip) clipped ...
  std::uint64_t clippable = 0;  // ... out of this many
  double loss_sum = 0.0;
  std::uint64_t loss_count = 0;
};

}  // namespace gridstep
