// What the optimizer's CUDA kernels are given, and the first of them: norms of gradients and weights, in the summation
// orders of plan.h.
#pragma once

#include "engine/device/cuda/cuda_compat.h"
#include "optim/plan.h"
#include "optim/registry.h"

namespace gridstep::optimizer_cuda {

constexpr int kThreads = kSumLanes;
constexpr int kWarps = kThreads / 32;

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
  const CodePlan* codes;
  int tile_count;
  int unit_count;
  int code_count;
  double* tile_sums;
  float* unit_clips;
  float* clips;             // NaN: skip this step
  unsigned* arrived;        // blocks of the norms launch that have finished; wraps to 0
  unsigned* codes_arrived;  // per code plan: blocks of the update launch that have read the old steps; wraps to 0
};

// Another block may be recording a fault of this update; both values it can have then mean the same to `rests`.
__device__ __forceinline__ bool replica_rests(const Arguments& a, int replica, const StepParams& p) {
  return rests(__ldcv(reinterpret_cast<const unsigned long long*>(&a.status[replica].first_fault)), p);
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

__device__ __forceinline__ double square(float x) { return static_cast<double>(x) * static_cast<double>(x); }

// In lane 0.
__device__ __forceinline__ double warp_order(double v) {
#pragma unroll
  for (int half = 16; half > 0; half /= 2) v += __shfl_down_sync(0xffffffffu, v, static_cast<unsigned>(half));
  return v;
}

// In thread 0.
__device__ inline double block_order(double v) {
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

__device__ inline double tile_lane(const float* g, int n) {
  double sum = 0.0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) sum += square(g[i]);
  return sum;
}

// The block that finishes a replica's last tile adds the tiles up, in their order: which block that is changes nothing.
__device__ inline void global_norm(const Arguments& a, int replica, const StepParams& p) {
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
__device__ inline void unit_norms(const Arguments& a, int replica, const StepParams& p) {
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

static __global__ void __launch_bounds__(kThreads) norms_kernel(const __grid_constant__ Arguments a) {
  const int replica = static_cast<int>(blockIdx.y);
  const StepParams& p = a.params[replica];
  if (replica_rests(a, replica, p)) return;
  const Norms norms = norms_of(p.rule, static_cast<const AllOptimizers*>(nullptr));
  if (norms == Norms::kGlobal && static_cast<int>(blockIdx.x) < a.tile_count) global_norm(a, replica, p);
  if (norms == Norms::kUnits && static_cast<int>(blockIdx.x) * kWarps < a.unit_count) unit_norms(a, replica, p);
}

}  // namespace gridstep::optimizer_cuda
