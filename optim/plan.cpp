#include "optim/plan.h"

#include <algorithm>
#include <limits>

#include "optim/registry.h"

namespace gridstep {
namespace {

void check_segment(const OptimizerArena& arena, const Segment& segment, std::size_t index, Index previous_end) {
  const auto require = [&](bool holds, std::string_view wanted) {
    if (!holds) {
      fail<ConfigError>("optimizer segment {} [{}, {} floats): {}", index, segment.begin, segment.size, wanted);
    }
  };
  require(segment.size >= 0 && segment.size <= std::numeric_limits<std::int32_t>::max(), "its size is out of range");
  require(segment.begin >= previous_end, "it overlaps the one before, or they are not in order");
  require(segment.begin + segment.size <= arena.size, "it reaches beyond the trained floats");
  require(segment.role != Role::kState, "state is not trained");
  require((segment.step_kind != StepKind::kNone) == (segment.role == Role::kStep),
          "steps, and only steps, have a step kind");
  if (segment.step_kind != StepKind::kNone) {
    require(segment.step0 >= 0 && segment.step0 + segment.size <= arena.stride,
            "its calibrated steps lie outside of the array");
  }
  if (segment.clip_units && segment.role != Role::kStep && segment.size > 0) {
    require(segment.unit > 0 && segment.size % segment.unit == 0, "its size is no multiple of its clipping unit");
  }
}

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

void check_arena(const OptimizerArena& arena) {
  if (arena.size < 0 || arena.stride < arena.size) {
    fail<ConfigError>("optimizer arena: {} trained floats do not fit a stride of {}", arena.size, arena.stride);
  }
  if (arena.rules.empty()) fail<ConfigError>("optimizer arena: no rule is named");
  const bool empty = arena.size == 0;
  if (!empty && (arena.weights == nullptr || arena.gradients == nullptr))
    fail<ConfigError>("optimizer arena: no memory");
  if (!aligned(arena.weights) || !aligned(arena.gradients) ||
      !std::all_of(arena.slots.begin(), arena.slots.end(), aligned)) {
    fail<ConfigError>("optimizer arena: arrays must be 16-byte aligned");
  }
  Index end = 0;
  for (std::size_t i = 0; i < arena.segments.size(); ++i) {
    check_segment(arena, arena.segments[i], i, end);
    end = arena.segments[i].begin + arena.segments[i].size;
  }
}

void check_code_output(const OptimizerArena& arena, const CodeOutput& output, std::size_t index) {
  const auto require = [&](bool holds, std::string_view wanted) {
    if (!holds) fail<ConfigError>("optimizer code output {}: {}", index, wanted);
  };
  const auto count = static_cast<int>(arena.segments.size());
  require(output.weights >= 0 && output.weights < count && output.steps >= 0 && output.steps < count,
          "it names a segment that does not exist");
  const Segment& weights = arena.segments[static_cast<std::size_t>(output.weights)];
  const Segment& steps = arena.segments[static_cast<std::size_t>(output.steps)];
  require(weights.role != Role::kStep && steps.role == Role::kStep, "it wants weights and their steps");
  require(weights.size > 0 && steps.size > 0 && weights.size % steps.size == 0,
          "its steps do not divide its weights evenly");
  require(output.codes.data != nullptr && output.codes.elements() == weights.size && size_of(output.codes.dtype) == 1,
          "it wants one byte per weight");
  require(output.step_values.data != nullptr && output.step_values.elements() == steps.size &&
              output.step_values.dtype == DType::kF32,
          "it wants one float per step");
}

CodePlan code_plan(const OptimizerArena& arena, const CodeOutput& output) {
  const Segment& weights = arena.segments[static_cast<std::size_t>(output.weights)];
  const Segment& steps = arena.segments[static_cast<std::size_t>(output.steps)];
  CodePlan plan{};
  plan.codes = output.codes.at<std::uint8_t>(0);
  plan.codes_stride = output.codes.replica_stride;
  plan.step_values = output.step_values.at<float>(0);
  plan.step_values_stride = output.step_values.replica_stride;
  plan.steps = steps.begin;
  plan.step0 = steps.step0;
  plan.step_count = static_cast<std::int32_t>(steps.size);
  plan.row = static_cast<std::int32_t>(weights.size / steps.size);
  plan.step_kind = steps.step_kind;
  plan.n = static_cast<float>(output.range.n);
  plan.p = static_cast<float>(output.range.p);
  return plan;
}

// The code plan of every segment; -1: none.
std::vector<std::int32_t> plan_codes(const OptimizerArena& arena, OptimizerPlan& plan) {
  std::vector<std::int32_t> of_segment(arena.segments.size(), -1);
  for (std::size_t i = 0; i < arena.code_outputs.size(); ++i) {
    const CodeOutput& output = arena.code_outputs[i];
    check_code_output(arena, output, i);
    for (const int segment : {output.weights, output.steps}) {
      std::int32_t& of = of_segment[static_cast<std::size_t>(segment)];
      if (of >= 0) fail<ConfigError>("optimizer code output {}: segment {} has codes already", i, segment);
      of = static_cast<std::int32_t>(i);
    }
    plan.codes.push_back(code_plan(arena, output));
  }
  return of_segment;
}

void count_tile(OptimizerPlan& plan, const OptimizerTile& tile) {
  if (tile.codes < 0 || is_left_to_weights(tile)) return;
  CodePlan& codes = plan.codes[static_cast<std::size_t>(tile.codes)];
  ++codes.weight_tiles;
  plan.most_rows = std::max(plan.most_rows, rows_of(tile, codes.row).count);
}

std::int32_t add_units(const Segment& segment, std::vector<ClipUnit>& units) {
  const auto first = static_cast<std::int32_t>(units.size());
  for (Index at = 0; at < segment.size; at += segment.unit) {
    units.push_back({segment.begin + at, static_cast<std::int32_t>(segment.unit)});
  }
  return first;
}

}  // namespace

OptimizerPlan plan_optimizer(const OptimizerArena& arena) {
  check_arena(arena);
  OptimizerPlan plan;
  bool unit_norms = false;
  for (const int rule : arena.rules) {
    GS_CHECK(rule >= 0 && rule < static_cast<int>(all_optimizers().size()), "no optimizer has the index {}", rule);
    const OptimizerInfo& info = all_optimizers()[static_cast<std::size_t>(rule)];
    plan.global_norm = plan.global_norm || info.norms == Norms::kGlobal;
    unit_norms = unit_norms || info.norms == Norms::kUnits;
  }
  const std::vector<std::int32_t> codes = plan_codes(arena, plan);
  for (std::size_t s = 0; s < arena.segments.size(); ++s) {
    const Segment& segment = arena.segments[s];
    const bool clipped = unit_norms && segment.clip_units && segment.role != Role::kStep && segment.size > 0;
    const std::int32_t unit0 = clipped ? add_units(segment, plan.units) : 0;
    for (Index at = 0; at < segment.size; at += kOptimizerTile) {
      const OptimizerTile tile{segment.begin + at,
                               segment.step0 + at,
                               static_cast<std::int32_t>(std::min<Index>(kOptimizerTile, segment.size - at)),
                               static_cast<std::int32_t>(at),
                               clipped ? static_cast<std::int32_t>(segment.unit) : 0,
                               unit0,
                               segment.role,
                               segment.step_kind,
                               codes[s]};
      count_tile(plan, tile);
      plan.tiles.push_back(tile);
    }
  }
  return plan;
}

}  // namespace gridstep
