// CPU driver of all optimizers. The loops vectorise: one run of one segment at a time, the rule chosen outside.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "kernels/quantize/quantize.h"
#include "optim/plan.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

constexpr Index kTaskFloats = 16384;  // enough work to hide the cost of handing out a task

// What the norms launch leaves for the update launch, one per replica.
struct NormState {
  std::vector<double> tile_sums;
  std::vector<float> unit_clips;
  std::atomic<int> arrived{0};
  float clip = 1.0f;  // NaN: skip this step
};

// The parts of one replica's arrays that a tile covers.
struct TileView {
  float* w;
  const float* g;
  std::array<float*, kMaxSlots> s;

  TileView from(Index at) const {
    TileView view{w + at, g + at, s};
    for (float*& slot : view.s) {
      if (slot != nullptr) slot += at;
    }
    return view;
  }
};

// True if a weight is NaN or infinite afterwards.
using UpdateFn = bool (*)(const OptimizerTile&, const TileView&, const NormState*, const StepParams&);

struct Driver {
  OptimizerArena arena;
  OptimizerPlan plan;
  std::vector<int> first_tile;  // of every task, and the end
  const StepParams* params;
  ReplicaStatus* status;
  std::vector<NormState> norms;
  std::vector<std::atomic<int>> arrived;  // per replica and code plan: tiles that have read the old steps

  int tasks() const { return static_cast<int>(first_tile.size()) - 1; }
  bool resting(int replica, const StepParams& p) const {
    return rests(std::atomic_ref(status[replica].first_fault).load(std::memory_order_relaxed), p);
  }
  void check_rule(const StepParams& p) const;
  void run_norms(const TaskContext& context);
  void run_update(const TaskContext& context);

  // One update launch of one replica.
  struct Update {
    int replica;
    StepParams p;
    UpdateFn rule;
    const NormState* norms;
    TileView view;  // of the whole replica
    float* scratch;
  };

 private:
  bool update_steps(const CodePlan& codes, const Update& u);
  bool update_with_codes(const OptimizerTile& tile, const Update& u);
  void sum_tiles(int task, const float* gradients, NormState& state, const StepParams& p, ReplicaStatus& status);
  void clip_units(int task, const float* weights, const float* gradients, NormState& state, const StepParams& p,
                  ReplicaStatus& status) const;
};

// ---- norms
// ----------------------------------------------------------------------------------------------------------------------

double warp_order(double* v) {
  for (int half = 16; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) v[l] += v[l + half];
  }
  return v[0];
}

double block_order(double* v) {
  double sum = 0.0;
  for (double* warp = v; warp < v + kSumLanes; warp += 32) sum += warp_order(warp);
  return sum;
}

using Float4 [[gnu::vector_size(16)]] = float;
using Double4 [[gnu::vector_size(32)]] = double;

// Lane l of 32: the sum of the squares of x[l], x[l + stride], ... below n, in this order. In explicit vectors, because
// the accumulators must stay in registers.
void lane_squares(const float* x, int n, int stride, double* lanes) {
  Double4 sums[8] = {};
  int row = 0;
  for (; row + 32 <= n; row += stride) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      Float4 narrow;
      std::memcpy(&narrow, x + (row + 4 * v), sizeof narrow);
      const Double4 wide = __builtin_convertvector(narrow, Double4);
      sums[v] += wide * wide;
    }
  }
  std::memcpy(lanes, sums, sizeof sums);
  for (int l = 0; row + l < n; ++l) lanes[l] += static_cast<double>(x[row + l]) * static_cast<double>(x[row + l]);
}

double tile_sum(const float* g, int n) {
  alignas(64) double lanes[kSumLanes] = {};
  for (int l = 0; l < kSumLanes && l < n; l += 32) lane_squares(g + l, n - l, kSumLanes, lanes + l);
  return block_order(lanes);
}

double replica_sum(const std::vector<double>& tiles) {
  alignas(64) double lanes[kSumLanes] = {};
  for (std::size_t i = 0; i < tiles.size(); ++i) lanes[i % kSumLanes] += tiles[i];
  return block_order(lanes);
}

double unit_sum(const float* x, int n) {
  alignas(64) double lanes[32];
  lane_squares(x, n, 32, lanes);
  return warp_order(lanes);
}

void Driver::sum_tiles(int task, const float* gradients, NormState& state, const StepParams& p,
                       ReplicaStatus& replica) {
  for (int i = first_tile[static_cast<std::size_t>(task)]; i < first_tile[static_cast<std::size_t>(task) + 1]; ++i) {
    const OptimizerTile& tile = plan.tiles[static_cast<std::size_t>(i)];
    state.tile_sums[static_cast<std::size_t>(i)] = tile_sum(gradients + tile.begin, tile.size);
  }
  // The task that arrives last adds the tiles up, in their order: which one it is changes nothing.
  if (state.arrived.fetch_add(1, std::memory_order_acq_rel) != tasks() - 1) return;
  state.arrived.store(0, std::memory_order_relaxed);
  state.clip = SgdClip::clip_global(replica_sum(state.tile_sums), p);
  ++replica.clippable;
  replica.clipped += state.clip == 1.0f ? 0 : 1;
}

void Driver::clip_units(int task, const float* weights, const float* gradients, NormState& state, const StepParams& p,
                        ReplicaStatus& replica) const {
  const Recorder::Range range = Recorder::part(static_cast<Index>(plan.units.size()), tasks(), task);
  std::uint64_t clipped = 0;
  for (Index i = range.begin; i < range.end; ++i) {
    const ClipUnit& unit = plan.units[static_cast<std::size_t>(i)];
    const double w = unit_sum(weights + unit.begin, unit.size);
    const float clip = AgcSgd::clip_unit(w, unit_sum(gradients + unit.begin, unit.size), p);
    state.unit_clips[static_cast<std::size_t>(i)] = clip;
    clipped += clip == 1.0f ? 0 : 1;
  }
  std::atomic_ref(replica.clipped).fetch_add(clipped, std::memory_order_relaxed);
  std::atomic_ref(replica.clippable).fetch_add(static_cast<std::uint64_t>(range.size()), std::memory_order_relaxed);
}

// The norms and slots recorded are those of the arena's rules.
void Driver::check_rule(const StepParams& p) const {
  const bool known = std::find(arena.rules.begin(), arena.rules.end(), p.rule) != arena.rules.end();
  GS_CHECK(known, "the optimizer launches were not recorded for rule {}", p.rule);
}

void Driver::run_norms(const TaskContext& context) {
  const StepParams& p = params[context.replica];
  if (resting(context.replica, p)) return;
  check_rule(p);
  const Norms kind = all_optimizers()[static_cast<std::size_t>(p.rule)].norms;
  const Index base = arena.stride * context.replica;
  NormState& state = norms[static_cast<std::size_t>(context.replica)];
  if (kind == Norms::kGlobal) {
    sum_tiles(context.task, arena.gradients + base, state, p, status[context.replica]);
  } else if (kind == Norms::kUnits) {
    clip_units(context.task, arena.weights + base, arena.gradients + base, state, p, status[context.replica]);
  }
}

// ---- update
// ---------------------------------------------------------------------------------------------------------------------

// True if a weight is NaN or infinite afterwards.
template <class Rule, int N>
bool update_run(float* __restrict w, const float* __restrict g, float* __restrict s0, float* __restrict s1,
                float* __restrict s2, int n, const StepParams p, const Terms terms) {
  std::uint32_t bad = 0;
  for (int i = 0; i < n; ++i) {
    float slots[kMaxSlots] = {};
    if constexpr (N > 0) slots[0] = s0[i];
    if constexpr (N > 1) slots[1] = s1[i];
    if constexpr (N > 2) slots[2] = s2[i];
    float weight = w[i];
    Rule::template update<N>(weight, g[i], slots, p, terms);
    w[i] = weight;
    if constexpr (N > 0) s0[i] = slots[0];
    if constexpr (N > 1) s1[i] = slots[1];
    if constexpr (N > 2) s2[i] = slots[2];
    bad |= strict::is_finite(weight) ? 0u : 1u;
  }
  return bad != 0;
}

template <class Rule, int N>
bool update_tile(const OptimizerTile& tile, const TileView& view, const NormState* norms, const StepParams& p) {
  Terms terms = terms_of(tile.role, p);
  if constexpr (Rule::norms == Norms::kGlobal) terms.clip = norms->clip;
  if constexpr (Rule::norms == Norms::kUnits) {
    if (tile.unit > 0) {
      bool bad = false;
      for (int i = 0; i < tile.size;) {
        const int unit = (tile.offset + i) / tile.unit;
        const int end = std::min(tile.size, (unit + 1) * tile.unit - tile.offset);
        terms.clip = norms->unit_clips[static_cast<std::size_t>(tile.unit0) + static_cast<std::size_t>(unit)];
        const TileView run = view.from(i);
        bad |= update_run<Rule, N>(run.w, run.g, run.s[0], run.s[1], run.s[2], end - i, p, terms);
        i = end;
      }
      return bad;
    }
  }
  return update_run<Rule, N>(view.w, view.g, view.s[0], view.s[1], view.s[2], tile.size, p, terms);
}

template <class Rule, int N = Rule::min_slots>
bool update_with_slots(const OptimizerTile& tile, const TileView& view, const NormState* norms, const StepParams& p) {
  if constexpr (N < Rule::slots) {
    if (Rule::slots_in_use(p) > N) return update_with_slots<Rule, N + 1>(tile, view, norms, p);
  }
  return update_tile<Rule, N>(tile, view, norms, p);
}

template <class... Rules>
UpdateFn update_function(int rule, const std::tuple<Rules...>*) {
  static constexpr UpdateFn functions[] = {&update_with_slots<Rules>...};
  return functions[rule];
}

void bound_steps(const OptimizerTile& tile, const TileView& view, const float* step0) {
  for (int i = 0; i < tile.size; ++i) {
    if (!bound_step(tile.step_kind, view.w[i], step0[i])) continue;
    for (float* slot : view.s) {
      if (slot != nullptr) slot[i] = 0.0f;
    }
  }
}

bool update_bounded(const OptimizerTile& tile, const TileView& view, const Driver::Update& u) {
  const bool bad = u.rule(tile, view, u.norms, params_of(tile.role, u.p));
  if (tile.step_kind != StepKind::kNone) bound_steps(tile, view, u.view.w + tile.step0);
  return bad;
}

// The steps [first, first + count) of a code plan, as a tile.
OptimizerTile step_tile(const CodePlan& codes, int first, int count) {
  return {codes.steps + first, codes.step0 + first, count, first, 0, 0, Role::kStep, codes.step_kind, -1};
}

// The steps of some rows as the update will leave them, worked out on a copy in scratch memory.
const float* next_steps(const CodePlan& codes, RowRange rows, const Driver::Update& u) {
  const OptimizerTile tile = step_tile(codes, rows.first, rows.count);
  const TileView view = u.view.from(tile.begin);
  TileView copy{u.scratch, view.g, {}};
  std::copy_n(view.w, rows.count, copy.w);
  for (std::size_t k = 0; k < view.s.size(); ++k) {
    if (view.s[k] == nullptr) continue;
    copy.s[k] = u.scratch + static_cast<Index>(k + 1) * kOptimizerTile;
    std::copy_n(view.s[k], rows.count, copy.s[k]);
  }
  update_bounded(tile, copy, u);
  for (int i = 0; i < rows.count; ++i) copy.w[i] = step_value(copy.w[i], form_of(codes.step_kind));
  return copy.w;
}

void write_codes(const CodePlan& codes, const OptimizerTile& tile, RowRange rows, const float* steps,
                 const Driver::Update& u) {
  const QuantizeAttrs attrs{.range = {static_cast<int>(codes.n), static_cast<int>(codes.p)}};
  const float* const w = u.view.w + tile.begin;
  std::uint8_t* const to = codes.codes + codes.codes_stride * u.replica + tile.offset;
  for (int row = 0, i = 0; row < rows.count; ++row) {
    const int end = std::min(tile.size, (rows.first + row + 1) * codes.row - tile.offset);
    quantize_span(attrs, w + i, end - i, steps[row], to + i);  // a NaN weight has been noted by the update
    i = end;
  }
}

// The parameters of all steps of a code plan, and the steps themselves.
bool Driver::update_steps(const CodePlan& codes, const Update& u) {
  const OptimizerTile tile = step_tile(codes, 0, codes.step_count);
  const TileView view = u.view.from(tile.begin);
  const bool bad = update_bounded(tile, view, u);
  float* const values = codes.step_values + codes.step_values_stride / static_cast<Index>(sizeof(float)) * u.replica;
  for (int i = 0; i < codes.step_count; ++i) values[i] = step_value(view.w[i], form_of(codes.step_kind));
  return bad;
}

bool Driver::update_with_codes(const OptimizerTile& tile, const Update& u) {
  const CodePlan& codes = plan.codes[static_cast<std::size_t>(tile.codes)];
  const RowRange rows = rows_of(tile, codes.row);
  const float* const steps = next_steps(codes, rows, u);
  bool bad = update_bounded(tile, u.view.from(tile.begin), u);
  write_codes(codes, tile, rows, steps, u);
  std::atomic<int>& count =
      arrived[plan.codes.size() * static_cast<std::size_t>(u.replica) + static_cast<std::size_t>(tile.codes)];
  if (count.fetch_add(1, std::memory_order_acq_rel) != codes.weight_tiles - 1) return bad;
  count.store(0, std::memory_order_relaxed);
  return update_steps(codes, u) || bad;
}

void Driver::run_update(const TaskContext& context) {
  const StepParams p = params[context.replica];
  if (resting(context.replica, p)) return;
  check_rule(p);
  const NormState* state = norms.empty() ? nullptr : &norms[static_cast<std::size_t>(context.replica)];
  const bool global = all_optimizers()[static_cast<std::size_t>(p.rule)].norms == Norms::kGlobal;
  if (global && strict::is_nan(state->clip)) return;
  const TileView all{arena.weights, arena.gradients, arena.slots};
  const Update u{context.replica,
                 p,
                 update_function(p.rule, static_cast<const AllOptimizers*>(nullptr)),
                 state,
                 all.from(arena.stride * context.replica),
                 reinterpret_cast<float*>(context.scratch)};
  bool bad = false;
  const auto task = static_cast<std::size_t>(context.task);
  for (int i = first_tile[task]; i < first_tile[task + 1]; ++i) {
    const OptimizerTile& tile = plan.tiles[static_cast<std::size_t>(i)];
    if (is_left_to_weights(tile)) continue;
    bad |= tile.codes >= 0 ? update_with_codes(tile, u) : update_bounded(tile, u.view.from(tile.begin), u);
  }
  if (bad) std::atomic_ref(status[context.replica].first_fault).store(update_fault(p), std::memory_order_relaxed);
}

// ---- recording
// ------------------------------------------------------------------------------------------------------------------

std::vector<int> cut_tasks(const std::vector<OptimizerTile>& tiles) {
  std::vector<int> first{0};
  Index floats = 0;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    floats += tiles[i].size;
    if (floats >= kTaskFloats || i + 1 == tiles.size()) {
      first.push_back(static_cast<int>(i) + 1);
      floats = 0;
    }
  }
  return first;
}

}  // namespace

void record_optimizer(Recorder& recorder, const OptimizerArena& arena) {
  auto driver = std::make_shared<Driver>();
  driver->arena = arena;
  driver->plan = plan_optimizer(arena);
  if (driver->plan.tiles.empty()) return;
  driver->first_tile = cut_tasks(driver->plan.tiles);
  driver->params = recorder.params();
  driver->status = recorder.status();
  if (driver->plan.global_norm || !driver->plan.units.empty()) {
    driver->norms = std::vector<NormState>(static_cast<std::size_t>(recorder.replicas()));
    for (NormState& state : driver->norms) {
      state.tile_sums.resize(driver->plan.global_norm ? driver->plan.tiles.size() : 0);
      state.unit_clips.resize(driver->plan.units.size());
    }
    recorder.launch("norms", driver->tasks(), [driver](const TaskContext& context) { driver->run_norms(context); });
  }
  if (!driver->plan.codes.empty()) {
    driver->arrived =
        std::vector<std::atomic<int>>(driver->plan.codes.size() * static_cast<std::size_t>(recorder.replicas()));
    recorder.need_scratch(Bytes{sizeof(float)} * (1 + kMaxSlots) * kOptimizerTile);
  }
  recorder.launch("update", driver->tasks(), [driver](const TaskContext& context) { driver->run_update(context); });
}

}  // namespace gridstep
