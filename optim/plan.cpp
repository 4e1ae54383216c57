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
  for (const Segment& segment : arena.segments) {
    const bool clipped = unit_norms && segment.clip_units && segment.role != Role::kStep && segment.size > 0;
    const std::int32_t unit0 = clipped ? add_units(segment, plan.units) : 0;
    for (Index at = 0; at < segment.size; at += kOptimizerTile) {
      plan.tiles.push_back({segment.begin + at, segment.step0 + at,
                            static_cast<std::int32_t>(std::min<Index>(kOptimizerTile, segment.size - at)),
                            static_cast<std::int32_t>(at), clipped ? static_cast<std::int32_t>(segment.unit) : 0, unit0,
                            segment.role, segment.step_kind});
    }
  }
  return plan;
}

}  // namespace gridstep
