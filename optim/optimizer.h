// Optimizer drivers: every trained float of every replica is updated by at most two launches.
//
// Launch 1 (only if a rule in use needs it): gradient and unit norms. Launch 2: weights, slots, and the bounds of
// learned steps. Both work on one flat array per quantity, cut into tiles; tile bounds depend on the segments only.
// Sums are formed in double in an order fixed by the segments, so the bits do not depend on threads, replicas, or the
// device (CPU and CUDA give the same).
//
// For replica r with parameters p = StepParams[r] and each trained element: the rule p.rule with
//   Role::kWeight: lr = p.lr,                    decay = p.weight_decay
//   Role::kBias:   lr = p.lr,                    decay = 0
//   Role::kStep:   lr = p.lr * p.step_lr_factor, decay = p.step_weight_decay
// Afterwards learned steps are kept usable, s0 being the calibrated step:
//   StepKind::kLinear: s = |s|, at least max(1e-8, 1e-3 s0)
//   StepKind::kLog:    the value is rho = ln s, kept within ln s0 +- ln 1000
// and where a bound was met, the slots of that element are zeroed: momentum must not press against the bound. An s0
// that is negative or not finite bounds nothing: the step becomes NaN, which the next forward pass reports as the
// layer's.
//
// Weight codes (CodeOutput) come from the same launch. A block that updates a piece of the weights computes their new
// steps itself, from the old ones and their slots; the last block to have done so updates the steps. The old ones are
// thus read before they are written, in whatever order blocks run.
//
// A replica with a fault (ReplicaStatus::first_fault) from an earlier launch or step is skipped wholly. An update that
// leaves a weight NaN or infinite records the fault (step << 32 | 0xffffffff). NaN gradients are not looked for, except
// that sgd_clip skips a step whose norm is not finite.
#pragma once

#include <array>
#include <vector>

#include "engine/graph/op.h"
#include "kernels/quantize/quantize_math.h"
#include "optim/rule.h"

namespace gridstep {

enum class StepKind : std::int32_t { kNone, kLinear, kLog };

// One trained parameter in the flat array.
struct Segment {
  Index begin = 0;
  Index size = 0;
  Index unit = 0;  // floats per unit of adaptive clipping: size / K for rank >= 2 (K output channels), size for rank 1
  Role role = Role::kWeight;
  bool clip_units = true;                // adaptive clipping applies; steps are never clipped
  StepKind step_kind = StepKind::kNone;  // for Role::kStep
  Index step0 =
      0;  // where the calibrated steps lie in the same replica's array, one per element; for step_kind != kNone
};

// Codes of weights that the update writes with the new weights and the new steps, for the step to come: what the
// quantize op (kernels/quantize/quantize.h) would make of them.
struct CodeOutput {
  int weights = 0, steps = 0;  // segments; as many steps as divide the weights evenly, one per run of neighbours
  CodeRange range;
  Tensor codes = {};        // u8 (range.n >= 0) or s8, one per weight
  Tensor step_values = {};  // f32: the steps themselves, whatever their segment holds
};

// The memory an optimizer works on. `weights`, `gradients` and every slot array have the same layout: replica r's part
// begins r * stride floats after the pointer, trained floats in [0, size), untrained state (calibrated steps) in [size,
// stride). Floats of [0, size) that no segment covers are neither read nor written. Pointers are 16-byte aligned and in
// the memory of the device.
struct OptimizerArena {
  float* weights = nullptr;
  const float* gradients = nullptr;
  std::array<float*, kMaxSlots>
      slots{};  // zero before the first step; as many as any replica's rule uses (registry.h: slots_in_use)
  Index stride = 0;
  Index size = 0;
  std::vector<Segment> segments{};  // ascending, without overlap
  std::vector<CodeOutput> code_outputs{};
  std::vector<int> rules{};  // registry indices that replicas of this program may have in StepParams::rule
};

// Pushes the launches ("norms" if needed, then "update"). Throws ConfigError when the arena does not keep its contract.
// Scratch for norms is owned by the launches.
void record_optimizer(Recorder& recorder, const OptimizerArena& arena);

// The same for CUDA, in the plug-in: one grid for all tensors and replicas. Tables are uploaded while recording and
// owned by the launches, which therefore must not outlive the device.
void record_optimizer_cuda(Recorder& recorder, const OptimizerArena& arena);

}  // namespace gridstep
