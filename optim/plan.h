// What the drivers of both devices share: how the flat array is cut, in which order sums are formed, how tensors
// differ.
#pragma once

#include <vector>

#include "engine/base/strict_math.h"
#include "optim/optimizer.h"

namespace gridstep {

constexpr int kOptimizerTile = 4096;  // floats; 16 KiB of each array

// A piece of one segment.
struct OptimizerTile {
  Index begin;          // in the replica's flat array
  Index step0;          // of its first element; meaningful where step_kind says so
  std::int32_t size;    // at most kOptimizerTile
  std::int32_t offset;  // of its first element in the segment
  std::int32_t unit;    // floats per unit of adaptive clipping; 0: never clipped so
  std::int32_t unit0;   // index of the segment's first unit
  Role role;
  StepKind step_kind;
  std::int32_t codes;  // weights: the code plan they are quantized by; steps: the one that updates them; -1: none
};

// How a tensor's codes come about (CodeOutput). A row is a run of weights with one step.
struct CodePlan {
  std::uint8_t* codes;
  Index codes_stride;  // bytes between replicas
  float* step_values;
  Index step_values_stride;  // bytes between replicas
  Index steps;               // begin of the step parameters in the replica's flat array
  Index step0;
  std::int32_t step_count;
  std::int32_t row;
  std::int32_t weight_tiles;  // that need the old steps
  StepKind step_kind;
  float n, p;
};

struct ClipUnit {
  Index begin;
  std::int32_t size;
};

struct OptimizerPlan {
  std::vector<OptimizerTile> tiles;
  std::vector<ClipUnit> units;  // empty unless a rule clips by units
  std::vector<CodePlan> codes;
  int most_rows = 0;         // that a tile touches, of tensors with codes
  bool global_norm = false;  // some rule needs it
};

// Checks the arena's contract (ConfigError names what is wrong) and cuts it.
OptimizerPlan plan_optimizer(const OptimizerArena& arena);

// Sums of squares are formed in double, in these orders, on both devices:
//   tile:         lane l of kSumLanes adds the elements l, l + kSumLanes, ... of its gradients; then block order
//   replica:      lane l of kSumLanes adds the sums of tiles l, l + kSumLanes, ...; then block order
//   unit:         lane l of 32 adds the elements l, l + 32, ...; then warp order
//   warp order:   of 32 values, five times the upper half is added to the lower
//   block order:  warp order within each 32, then these sums from the first to the last
constexpr int kSumLanes = 256;

GS_HD Terms terms_of(Role role, const StepParams& p) {
  Terms terms;
  terms.lr = role == Role::kStep ? p.lr * p.step_lr_factor : p.lr;
  terms.decay = role == Role::kWeight ? p.weight_decay : (role == Role::kStep ? p.step_weight_decay : 0.0f);
  return terms;
}

// The parameters as a tensor of this role sees them.
GS_HD StepParams params_of(Role role, const StepParams& p) {
  StepParams own = p;
  const float* const hyper =
      role == Role::kStep ? p.step_hyper : p.hyper;  // chosen before it is read: half the registers
  for (int i = 0; i < kHyper; ++i) own.hyper[i] = hyper[i];
  return own;
}

// Keeps a learned step (or its logarithm) usable, see optimizer.h; true where a bound was met. NaN stays NaN.
GS_HD bool bound_step(StepKind kind, float& value, float step0) {
  if (!(step0 >= 0.0f && strict::is_finite(step0))) {
    value = strict::quiet_nan();
    return true;
  }
  if (kind == StepKind::kLinear) {
    const float relative = 1e-3f * step0;
    const float floor = relative > 1e-8f ? relative : 1e-8f;
    value = strict::abs(value);
    if (!(value < floor)) return false;
    value = floor;
    return true;
  }
  const float centre = strict::log(step0);
  constexpr float kLogThousand = 6.90775528f;
  const float bounded = strict::clamp(value, centre - kLogThousand, centre + kLogThousand);
  if (bounded == value || strict::is_nan(value)) return false;
  value = bounded;
  return true;
}

GS_HD StepForm form_of(StepKind kind) { return kind == StepKind::kLog ? StepForm::kLog : StepForm::kLinear; }

// A tile's rows.
struct RowRange {
  int first, count;
};
GS_HD RowRange rows_of(const OptimizerTile& tile, int row) {
  const int first = tile.offset / row;
  return {first, (tile.offset + tile.size - 1) / row - first + 1};
}

// Steps with codes are updated by the last tile of their weights.
GS_HD bool is_left_to_weights(const OptimizerTile& tile) { return tile.codes >= 0 && tile.role == Role::kStep; }

// The fault an update records, and whether a replica rests. A fault of this very update is no reason to rest: otherwise
// it would depend on timing which tiles are still updated.
GS_HD std::uint64_t update_fault(const StepParams& p) { return static_cast<std::uint64_t>(p.step) << 32 | 0xffffffffu; }
GS_HD bool rests(std::uint64_t first_fault, const StepParams& p) {
  return first_fault != 0 && first_fault != update_fault(p);
}

}  // namespace gridstep
