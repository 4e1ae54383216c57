// CUDA driver of all optimizers: one grid for all tensors and replicas, a block per (tile, replica), in the summation
// orders of plan.h.
#include <algorithm>
#include <cstring>
#include <memory>

#include "engine/device/cuda/cuda_compat.h"
#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "optim/plan.h"
#include "optim/registry.h"

namespace gridstep {
namespace {

constexpr int kThreads = kSumLanes;
constexpr int kWarps = kThreads / 32;
constexpr int kRow = kThreads * 4;  // floats a block covers with one 16-byte access per thread

// All in device memory. The norm arrays have one row per replica.
struct Arguments {
  float* weights;
  const float* gradients;
  float* slots[kMaxSlots];
  Index stride;
  const StepParams* params;
  ReplicaStatus* status;
  const OptimizerTile* tiles;
  const ClipUnit* units;
  int tile_count;
  int unit_count;
  double* tile_sums;
  float* unit_clips;
  float* clips;       // NaN: skip this step
  unsigned* arrived;  // blocks of the norms launch that have finished; wraps to 0
};

// Another block may be recording a fault of this update; both values it can have then mean the same to `rests`.
__device__ __forceinline__ bool replica_rests(const Arguments& a, int replica, const StepParams& p) {
  return rests(*static_cast<const volatile std::uint64_t*>(&a.status[replica].first_fault), p);
}

__device__ __forceinline__ void add(std::uint64_t& counter, unsigned n) {
  atomicAdd(reinterpret_cast<unsigned long long*>(&counter), static_cast<unsigned long long>(n));
}

template <class... Rules>
__device__ __forceinline__ Norms norms_of(int rule, const std::tuple<Rules...>*) {
  Norms norms = Norms::kNone;
  int index = 0;
  ((norms = index++ == rule ? Rules::norms : norms), ...);
  return norms;
}

// ---- norms
// ----------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ double square(float x) { return static_cast<double>(x) * static_cast<double>(x); }

// In lane 0.
__device__ __forceinline__ double warp_order(double v) {
#pragma unroll
  for (int half = 16; half > 0; half /= 2) v += __shfl_down_sync(0xffffffffu, v, static_cast<unsigned>(half));
  return v;
}

// In thread 0.
__device__ double block_order(double v) {
  SHARED(warps, double[kWarps]);
  v = warp_order(v);
  __syncthreads();  // `warps` may still be read from the call before
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) sum += warps[i];
  return sum;
}

__device__ double tile_lane(const float* g, int n) {
  double sum = 0.0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) sum += square(g[i]);
  return sum;
}

// The block that finishes a replica's last tile adds the tiles up, in their order: which block that is changes nothing.
__device__ void global_norm(const Arguments& a, int replica, const StepParams& p) {
  SHARED(last, bool);
  double* const sums = a.tile_sums + static_cast<std::int64_t>(a.tile_count) * replica;
  const OptimizerTile& tile = a.tiles[blockIdx.x];
  const double sum = block_order(tile_lane(a.gradients + a.stride * replica + tile.begin, tile.size));
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
    __threadfence();
    const auto final_count = static_cast<unsigned>(a.tile_count) - 1;
    last = atomicInc(&a.arrived[replica], final_count) == final_count;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  double lane = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < a.tile_count; i += kThreads) lane += __ldcg(sums + i);
  const double total = block_order(lane);
  if (threadIdx.x != 0) return;
  const float clip = SgdClip::clip_global(total, p);
  a.clips[replica] = clip;
  ReplicaStatus& status = a.status[replica];
  status.clippable += 1;
  status.clipped += clip == 1.0f ? 0 : 1;
}

// A warp per unit.
__device__ void unit_norms(const Arguments& a, int replica, const StepParams& p) {
  SHARED(clipped, int[kWarps]);
  const int first = static_cast<int>(blockIdx.x) * kWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (lane == 0) clipped[warp] = 0;
  if (first + warp < a.unit_count) {
    const ClipUnit unit = a.units[first + warp];
    const float* const w = a.weights + a.stride * replica + unit.begin;
    const float* const g = a.gradients + a.stride * replica + unit.begin;
    double w_sum = 0.0, g_sum = 0.0;
#pragma unroll 4
    for (int i = lane; i < unit.size; i += 32) {
      w_sum += square(w[i]);
      g_sum += square(g[i]);
    }
    w_sum = warp_order(w_sum);
    g_sum = warp_order(g_sum);
    if (lane == 0) {
      const float clip = AgcSgd::clip_unit(w_sum, g_sum, p);
      a.unit_clips[static_cast<std::int64_t>(a.unit_count) * replica + first + warp] = clip;
      clipped[warp] = clip == 1.0f ? 0 : 1;
    }
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  int sum = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) sum += clipped[i];
  const int left = a.unit_count - first;
  add(a.status[replica].clipped, static_cast<unsigned>(sum));
  add(a.status[replica].clippable, static_cast<unsigned>(left < kWarps ? left : kWarps));
}

__global__ void __launch_bounds__(kThreads) norms_kernel(const __grid_constant__ Arguments a) {
  const int replica = static_cast<int>(blockIdx.y);
  const StepParams& p = a.params[replica];
  if (replica_rests(a, replica, p)) return;
  const Norms norms = norms_of(p.rule, static_cast<const AllOptimizers*>(nullptr));
  if (norms == Norms::kGlobal && static_cast<int>(blockIdx.x) < a.tile_count) global_norm(a, replica, p);
  if (norms == Norms::kUnits && static_cast<int>(blockIdx.x) * kWarps < a.unit_count) unit_norms(a, replica, p);
}

// ---- update
// ---------------------------------------------------------------------------------------------------------------------

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
};

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

template <class Rule, int N>
__device__ __forceinline__ bool update_one(const TileView& v, int i, const StepParams& p, const Terms& terms) {
  float s[kMaxSlots] = {};
#pragma unroll
  for (int k = 0; k < N; ++k) s[k] = v.s[k][i];
  float w = v.w[i];
  const bool bad = update_element<Rule, N>(v, i, w, v.g[i], s, p, terms);
  v.w[i] = w;
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

template <class Rule, int N = Rule::min_slots>
__device__ __forceinline__ bool update_with_slots(const TileView& v, int size, bool vectors, const StepParams& p,
                                                  const Terms& terms) {
  if constexpr (N < Rule::slots) {
    if (Rule::slots_in_use(p) > N) return update_with_slots<Rule, N + 1>(v, size, vectors, p, terms);
  }
  return update_tile<Rule, N>(v, size, vectors, p, terms);
}

template <class... Rules>
__device__ __forceinline__ bool update_by_rule(const TileView& v, int size, bool vectors, const StepParams& p,
                                               const Terms& terms, const std::tuple<Rules...>*) {
  bool bad = false;
  int index = 0;
  (void)((index++ == p.rule && (bad = update_with_slots<Rules>(v, size, vectors, p, terms), true)) || ...);
  return bad;
}

__global__ void __launch_bounds__(kThreads) update_kernel(const __grid_constant__ Arguments a) {
  const int replica = static_cast<int>(blockIdx.y);
  if (replica_rests(a, replica, a.params[replica])) return;
  const AllOptimizers* const rules = nullptr;
  const OptimizerTile tile = a.tiles[blockIdx.x];
  const StepParams p = params_of(tile.role, a.params[replica]);
  Terms terms = terms_of(tile.role, p);
  const Norms norms = norms_of(p.rule, rules);
  if (norms == Norms::kGlobal) {
    terms.clip = a.clips[replica];
    if (strict::is_nan(terms.clip)) return;
  }
  const std::int64_t base = a.stride * replica;
  const std::int64_t begin = base + tile.begin;
  TileView view{a.weights + begin, a.gradients + begin, {},        a.weights + base + tile.step0,
                nullptr,           tile.offset,         tile.unit, tile.step_kind};
#pragma unroll
  for (int k = 0; k < kMaxSlots; ++k) view.s[k] = a.slots[k] + (a.slots[k] == nullptr ? 0 : begin);
  if (norms == Norms::kUnits && tile.unit > 0) {
    view.unit_clips = a.unit_clips + static_cast<std::int64_t>(a.unit_count) * replica + tile.unit0;
  }
  const bool bad = update_by_rule(view, tile.size, begin % 4 == 0, p, terms, rules);
  if (bad) {
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
    buffer_ = Buffer(device, size_);
    device.fill(buffer_.data(), 0, size_);
    device.upload(buffer_.data() + tile_table, plan.tiles.data(), tiles * static_cast<Bytes>(sizeof(OptimizerTile)));
    if (units > 0) {
      device.upload(buffer_.data() + unit_table, plan.units.data(), units * static_cast<Bytes>(sizeof(ClipUnit)));
    }
    arguments.tiles = at<OptimizerTile>(tile_table);
    arguments.units = at<ClipUnit>(unit_table);
    arguments.tile_count = static_cast<int>(tiles);
    arguments.unit_count = static_cast<int>(units);
    arguments.tile_sums = at<double>(tile_sums);
    arguments.unit_clips = at<float>(unit_clips);
    arguments.clips = at<float>(clips);
    arguments.arrived = at<unsigned>(arrived);
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

void record_optimizer_cuda(Recorder& recorder, const OptimizerArena& arena) {
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
  recorder.launch("update", 1, [workspace, grid, stream](const TaskContext&) {
    launch(update_kernel, grid, dim3(kThreads), 0, stream, workspace->arguments);
  });
}

}  // namespace gridstep
