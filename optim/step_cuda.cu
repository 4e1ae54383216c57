// CUDA driver of all optimizers: one grid for all tensors and replicas, a block per (tile, replica), in the summation
// orders of plan.h.
#include <algorithm>
#include <cstring>
#include <memory>

#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/quantize/quantize.cuh"
#include "optim/norms.cuh"

namespace gridstep {
namespace optimizer_cuda {
namespace {

constexpr int kRow = kThreads * 4;  // floats a block covers with one 16-byte access per thread

// ---- update
// ---------------------------------------------------------------------------------------------------------------------

// Where the codes of one tile go, and what they are made with.
struct CodeView {
  std::uint8_t* codes;  // null: none
  const float* steps;   // the tile's rows' new ones, in shared memory
  int row, first_row;
  CodeLimits limits;
  bool packs;
};

// One tile of one replica.
struct TileView {
  float* w;
  const float* g;
  float* s[kMaxSlots];
  const float* step0;
  const float* unit_clips;  // of the segment; null where the whole tile has one coefficient
  int offset;
  int unit;
  StepKind step_kind;
  CodeView codes;
};

// The first of n new weights is element i of the tile.
__device__ __forceinline__ void write_codes(const TileView& v, int i, int n, const Pack4<float>& w) {
  const CodeView& c = v.codes;
  int row = (v.offset + i) / c.row, end = (row + 1) * c.row - v.offset;
  Pack4<std::uint8_t> codes;
  bool nan = false;  // noted by the update
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (l >= n) break;
    if (i + l == end) {
      ++row;
      end += c.row;
    }
    codes.v[l] = encode<FusedActivation::kNone, std::uint8_t>(w.v[l], c.steps[row - c.first_row], c.limits, nan);
  }
  store_up_to4(c.codes + i, 0, n, c.packs, codes);
}

// True if the weight is NaN or infinite after the rule.
template <class Rule, int N>
__device__ __forceinline__ bool update_element(const TileView& v, int i, float& w, float g, float* s,
                                               const StepParams& p, Terms terms) {
  if constexpr (Rule::norms == Norms::kUnits) {
    if (v.unit_clips != nullptr) terms.clip = v.unit_clips[(v.offset + i) / v.unit];
  }
  Rule::template update<N>(w, g, s, p, terms);
  const bool bad = !strict::is_finite(w);
  if (v.step_kind != StepKind::kNone && bound_step(v.step_kind, w, v.step0[i])) {
#pragma unroll
    for (int k = 0; k < N; ++k) s[k] = 0.0f;
  }
  return bad;
}

// What the update will make of an element.
template <class Rule, int N>
__device__ __forceinline__ float updated_value(const TileView& v, int i, const StepParams& p, const Terms& terms) {
  float s[kMaxSlots] = {};
#pragma unroll
  for (int k = 0; k < N; ++k) s[k] = v.s[k][i];
  float w = v.w[i];
  update_element<Rule, N>(v, i, w, v.g[i], s, p, terms);
  return w;
}

template <class Rule, int N>
__device__ __forceinline__ bool update_one(const TileView& v, int i, const StepParams& p, const Terms& terms) {
  float s[kMaxSlots] = {};
#pragma unroll
  for (int k = 0; k < N; ++k) s[k] = v.s[k][i];
  float w = v.w[i];
  const bool bad = update_element<Rule, N>(v, i, w, v.g[i], s, p, terms);
  v.w[i] = w;
  if (v.codes.codes != nullptr) write_codes(v, i, 1, {{w}});
#pragma unroll
  for (int k = 0; k < N; ++k) v.s[k][i] = s[k];
  return bad;
}

template <class Rule, int N>
__device__ __forceinline__ bool update_four(const TileView& v, int i, const StepParams& p, const Terms& terms) {
  Pack4<float> slots[kMaxSlots];
#pragma unroll
  for (int k = 0; k < N; ++k) slots[k] = load4(v.s[k] + i, 0);
  Pack4<float> w = load4(v.w + i, 0);
  const Pack4<float> g = load4(v.g + i, 0);
  bool bad = false;
#pragma unroll
  for (int lane = 0; lane < 4; ++lane) {
    float s[kMaxSlots] = {};
#pragma unroll
    for (int k = 0; k < N; ++k) s[k] = slots[k].v[lane];
    bad |= update_element<Rule, N>(v, i + lane, w.v[lane], g.v[lane], s, p, terms);
#pragma unroll
    for (int k = 0; k < N; ++k) slots[k].v[lane] = s[k];
  }
  store4(v.w + i, 0, w);
  if (v.codes.codes != nullptr) write_codes(v, i, 4, w);
#pragma unroll
  for (int k = 0; k < N; ++k) store4(v.s[k] + i, 0, slots[k]);
  return bad;
}

template <class Rule, int N>
__device__ bool update_tile(const TileView& v, int size, bool vectors, const StepParams& p, const Terms& terms) {
  bool bad = false;
  const int lane = static_cast<int>(threadIdx.x);
  const int whole = vectors ? size / 4 * 4 : 0;
#pragma unroll 1
  for (int i = lane * 4; i < whole; i += kRow) bad |= update_four<Rule, N>(v, i, p, terms);
#pragma unroll 1
  for (int i = whole + lane; i < size; i += kThreads) bad |= update_one<Rule, N>(v, i, p, terms);
  return bad;
}

__device__ __forceinline__ TileView view_at(const Arguments& a, Index base, Index begin, Index step0, StepKind kind) {
  TileView view{};
  view.w = a.weights + base + begin;
  view.g = a.gradients + base + begin;
#pragma unroll
  for (int k = 0; k < kMaxSlots; ++k) view.s[k] = a.slots[k] + (a.slots[k] == nullptr ? 0 : base + begin);
  view.step0 = a.weights + base + step0;
  view.step_kind = kind;
  return view;
}

// A tile of one replica, and whose steps its codes need.
struct Work {
  const Arguments& a;
  int replica;
  TileView tile;
  int size;
  bool vectors;
  Terms terms;
  int codes;          // code plan; -1: none
  float* next_steps;  // shared memory for the steps of the tile's rows

  __device__ __forceinline__ const CodePlan& plan() const { return a.codes[codes]; }
  __device__ __forceinline__ TileView steps() const {
    return view_at(a, a.stride * replica, plan().steps, plan().step0, plan().step_kind);
  }
  __device__ __forceinline__ StepParams step_params() const { return params_of(Role::kStep, a.params[replica]); }
  // Clipping by units is not in `terms` and does not concern steps.
  __device__ __forceinline__ Terms step_terms(const StepParams& p) const {
    Terms of_steps = terms_of(Role::kStep, p);
    of_steps.clip = terms.clip;
    return of_steps;
  }
};

// The steps of the tile's rows as the update will leave them.
template <class Rule, int N>
__device__ __forceinline__ void find_next_steps(const Work& work) {
  const StepParams p = work.step_params();
  const TileView steps = work.steps();
  const Terms terms = work.step_terms(p);
  const int first = work.tile.codes.first_row, last = (work.tile.offset + work.size - 1) / work.tile.codes.row;
#pragma unroll 1
  for (int row = first + static_cast<int>(threadIdx.x); row <= last; row += kThreads) {
    work.next_steps[row - first] = step_value(updated_value<Rule, N>(steps, row, p, terms), form_of(steps.step_kind));
  }
}

// In every thread: whether this block is the last of the tensor's to have read the old steps. All threads take part.
__device__ __forceinline__ bool arrive_last(const Work& work) {
  SHARED(last, bool);
  __syncthreads();  // all threads have read theirs, and the steps in shared memory are complete
  if (threadIdx.x == 0) {
    const auto final_count = static_cast<unsigned>(work.plan().weight_tiles) - 1;
    unsigned* const arrived = work.a.codes_arrived + static_cast<Index>(work.a.code_count) * work.replica + work.codes;
    __threadfence();
    last = atomicInc(arrived, final_count) == final_count;
    __threadfence();
  }
  __syncthreads();
  return last;
}

template <class Rule, int N>
__device__ __forceinline__ bool update_steps(const Work& work) {
  const StepParams p = work.step_params();
  const TileView steps = work.steps();
  const Terms terms = work.step_terms(p);
  const CodePlan& plan = work.plan();
  float* const values = plan.step_values + plan.step_values_stride / static_cast<Index>(sizeof(float)) * work.replica;
  bool bad = false;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < plan.step_count; i += kThreads) {
    bad |= update_one<Rule, N>(steps, i, p, terms);
    values[i] = step_value(steps.w[i], form_of(steps.step_kind));
  }
  return bad;
}

template <class Rule, int N>
__device__ bool update_work(const Work& work, const StepParams& p) {
  if (work.codes < 0) return update_tile<Rule, N>(work.tile, work.size, work.vectors, p, work.terms);
  find_next_steps<Rule, N>(work);
  const bool last = arrive_last(work);
  bool bad = update_tile<Rule, N>(work.tile, work.size, work.vectors, p, work.terms);
  if (last) bad |= update_steps<Rule, N>(work);
  return bad;
}

template <class Rule, int N = Rule::min_slots>
__device__ __forceinline__ bool update_with_slots(const Work& work, const StepParams& p) {
  if constexpr (N < Rule::slots) {
    if (Rule::slots_in_use(p) > N) return update_with_slots<Rule, N + 1>(work, p);
  }
  return update_work<Rule, N>(work, p);
}

template <class... Rules>
__device__ __forceinline__ bool update_by_rule(const Work& work, const StepParams& p, const std::tuple<Rules...>*) {
  bool bad = false;
  int index = 0;
  (void)((index++ == p.rule && (bad = update_with_slots<Rules>(work, p), true)) || ...);
  return bad;
}

// Where the tile's codes go, and what they are made with.
__device__ __forceinline__ CodeView code_view(const Work& work, const OptimizerTile& tile) {
  const CodePlan& plan = work.plan();
  std::uint8_t* const codes = plan.codes + plan.codes_stride * work.replica + tile.offset;
  return {codes,
          work.next_steps,
          plan.row,
          rows_of(tile, plan.row).first,
          {plan.n, plan.p},
          reinterpret_cast<std::uintptr_t>(codes) % 4 == 0};
}

// Two blocks to a multiprocessor are promised, no more: asked for nothing, the compiler aims at three and spills.
__global__ void __launch_bounds__(kThreads, 2) update_kernel(const __grid_constant__ Arguments a) {
  DYN_SHARED(float, next_steps);
  const int replica = static_cast<int>(blockIdx.y);
  if (replica_rests(a, replica, a.params[replica])) return;
  const AllOptimizers* const rules = nullptr;
  const OptimizerTile tile = a.tiles[blockIdx.x];
  if (is_left_to_weights(tile)) return;
  const StepParams p = params_of(tile.role, a.params[replica]);
  const std::int64_t base = a.stride * replica;
  Work work{a,
            replica,
            view_at(a, base, tile.begin, tile.step0, tile.step_kind),
            tile.size,
            (base + tile.begin) % 4 == 0,
            terms_of(tile.role, p),
            tile.codes,
            next_steps};
  const Norms norms = norms_of(p.rule, rules);
  if (norms == Norms::kGlobal) {
    work.terms.clip = a.clips[replica];
    if (strict::is_nan(work.terms.clip)) return;
  }
  work.tile.offset = tile.offset;
  work.tile.unit = tile.unit;
  if (norms == Norms::kUnits && tile.unit > 0) {
    work.tile.unit_clips = a.unit_clips + static_cast<std::int64_t>(a.unit_count) * replica + tile.unit0;
  }
  if (tile.codes >= 0) work.tile.codes = code_view(work, tile);
  if (update_by_rule(work, p, rules)) {
    auto* const fault = reinterpret_cast<unsigned long long*>(&a.status[replica].first_fault);
    atomicCAS(fault, 0ull, static_cast<unsigned long long>(update_fault(p)));
  }
}

// ---- recording
// ------------------------------------------------------------------------------------------------------------------

// Tables and norms, in one allocation.
class Workspace {
 public:
  Workspace(Device& device, const OptimizerPlan& plan, int replicas) {
    const auto tiles = static_cast<Bytes>(plan.tiles.size());
    const auto units = static_cast<Bytes>(plan.units.size());
    const Bytes rows = replicas;
    const Bytes tile_table = reserve(tiles * static_cast<Bytes>(sizeof(OptimizerTile)));
    const Bytes unit_table = reserve(units * static_cast<Bytes>(sizeof(ClipUnit)));
    const Bytes tile_sums = reserve(plan.global_norm ? rows * tiles * static_cast<Bytes>(sizeof(double)) : 0);
    const Bytes unit_clips = reserve(rows * units * static_cast<Bytes>(sizeof(float)));
    const Bytes clips = reserve(rows * static_cast<Bytes>(sizeof(float)));
    const Bytes arrived = reserve(rows * static_cast<Bytes>(sizeof(unsigned)));
    const auto codes = static_cast<Bytes>(plan.codes.size());
    const Bytes code_table = reserve(codes * static_cast<Bytes>(sizeof(CodePlan)));
    const Bytes codes_arrived = reserve(rows * codes * static_cast<Bytes>(sizeof(unsigned)));
    buffer_ = Buffer(device, size_);
    device.fill(buffer_.data(), 0, size_);
    device.upload(buffer_.data() + tile_table, plan.tiles.data(), tiles * static_cast<Bytes>(sizeof(OptimizerTile)));
    if (units > 0) {
      device.upload(buffer_.data() + unit_table, plan.units.data(), units * static_cast<Bytes>(sizeof(ClipUnit)));
    }
    if (codes > 0) {
      device.upload(buffer_.data() + code_table, plan.codes.data(), codes * static_cast<Bytes>(sizeof(CodePlan)));
    }
    arguments.tiles = at<OptimizerTile>(tile_table);
    arguments.units = at<ClipUnit>(unit_table);
    arguments.tile_count = static_cast<int>(tiles);
    arguments.unit_count = static_cast<int>(units);
    arguments.tile_sums = at<double>(tile_sums);
    arguments.unit_clips = at<float>(unit_clips);
    arguments.clips = at<float>(clips);
    arguments.arrived = at<unsigned>(arrived);
    arguments.codes = at<CodePlan>(code_table);
    arguments.code_count = static_cast<int>(codes);
    arguments.codes_arrived = at<unsigned>(codes_arrived);
  }

  Arguments arguments{};

 private:
  Bytes reserve(Bytes size) {
    const Bytes offset = size_;
    size_ += align_up(size);
    return offset;
  }
  template <class T>
  T* at(Bytes offset) const {
    return reinterpret_cast<T*>(buffer_.data() + offset);
  }

  Buffer buffer_;
  Bytes size_ = 0;
};

}  // namespace
}  // namespace optimizer_cuda

void record_optimizer_cuda(Recorder& recorder, const OptimizerArena& arena) {
  using namespace optimizer_cuda;
  const OptimizerPlan plan = plan_optimizer(arena);
  if (plan.tiles.empty()) return;
  const auto workspace = std::make_shared<Workspace>(recorder.device(), plan, recorder.replicas());
  Arguments& a = workspace->arguments;
  a.weights = arena.weights;
  a.gradients = arena.gradients;
  std::copy(arena.slots.begin(), arena.slots.end(), a.slots);
  a.stride = arena.stride;
  a.params = recorder.params();
  a.status = recorder.status();
  const cudaStream_t stream = cuda_stream(recorder.device());
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const auto tiles = static_cast<unsigned>(a.tile_count);
  const auto unit_blocks = static_cast<unsigned>((a.unit_count + kWarps - 1) / kWarps);
  if (plan.global_norm || unit_blocks > 0) {
    const dim3 grid(std::max(plan.global_norm ? tiles : 0u, unit_blocks), replicas);
    recorder.launch("norms", 1, [workspace, grid, stream](const TaskContext&) {
      launch(norms_kernel, grid, dim3(kThreads), 0, stream, workspace->arguments);
    });
  }
  const dim3 grid(tiles, replicas);
  const auto shared = static_cast<std::size_t>(plan.most_rows) * sizeof(float);
  recorder.launch("update", 1, [workspace, grid, shared, stream](const TaskContext&) {
    launch(update_kernel, grid, dim3(kThreads), shared, stream, workspace->arguments);
  });
}

}  // namespace gridstep
