// Sums over a block of kTreeThreads threads in an order that depends on the number of terms only: the device's form of
// kernels/common/lane_sum.h, with the same bits. No atomics.
#pragma once

#include "engine/device/cuda/cuda_compat.h"
#include "kernels/common/lane_sum.h"

namespace gridstep {

// Sum of `value` over the block, in every thread. All threads take part.
template <class T>
__device__ __forceinline__ T block_sum(T value) {
  SHARED(warps, T[kTreeThreads / kWarp]);
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) value += __shfl_xor_sync(0xffffffffu, value, half);
  __syncthreads();  // `warps` may still be read for the sum before
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = T(0);
#pragma unroll
  for (int w = 0; w < kTreeThreads / kWarp; ++w) sum += warps[w];
  return sum;
}

// The lanes of one thread.
struct LaneSums {
  double lane[kLanesPerThread] = {};

  __device__ __forceinline__ double fold() const { return (lane[0] + lane[1]) + (lane[2] + lane[3]); }
};

// Sum of term(0) ... term(n - 1), in every thread of the block.
template <class F>
__device__ __forceinline__ double block_lane_sum(Index n, F term) {
  LaneSums sums;
  for (Index base = static_cast<Index>(threadIdx.x) * kLanesPerThread; base < n; base += kTreeLanes) {
#pragma unroll
    for (int l = 0; l < kLanesPerThread; ++l) {
      if (base + l < n) sums.lane[l] += static_cast<double>(term(base + l));
    }
  }
  return block_sum(sums.fold());
}

}  // namespace gridstep
