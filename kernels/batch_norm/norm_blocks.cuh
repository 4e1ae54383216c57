// Sums over the blocks of pixels, on the device: a thread block takes kNormColumns channels, 32 threads each.
#pragma once

#include "engine/device/cuda/cuda_compat.h"
#include "kernels/batch_norm/norm_math.h"

namespace gridstep {

constexpr int kNormThreads = 256;
constexpr int kNormColumns = kNormThreads / kWarp;  // neighbours in memory

struct NormExtent {
  Index pixels;
  int channels;
  __host__ __device__ Index blocks() const { return norm_blocks(pixels); }
};

inline NormExtent norm_extent(const Tensor& x) { return {x.elements() / x.shape[3], static_cast<int>(x.shape[3])}; }

// This thread's channel and lane. Threads beyond the last channel repeat it and write nothing.
struct NormColumn {
  int channel, lane;
  bool writes;

  __device__ __forceinline__ explicit NormColumn(int channels)
      : channel(static_cast<int>(blockIdx.x) * kNormColumns + static_cast<int>(threadIdx.x) % kNormColumns),
        lane(static_cast<int>(threadIdx.x) / kNormColumns),
        writes(lane == 0 && channel < channels) {
    if (channel >= channels) channel = channels - 1;
  }
};

// The lanes' sums, folded into lane 0 in the order of norm_math.h. All threads of the block take part.
template <int N>
__device__ __forceinline__ void fold_lanes(double (&sum)[N]) {
  SHARED(lanes, double[N * kNormThreads]);
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) {
    __syncthreads();  // the round before has been read
#pragma unroll
    for (int i = 0; i < N; ++i) lanes[i * kNormThreads + static_cast<int>(threadIdx.x)] = sum[i];
    __syncthreads();
    const int other = static_cast<int>(threadIdx.x) + half * kNormColumns;
    if (other < 2 * half * kNormColumns) {
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += lanes[i * kNormThreads + other];
    }
  }
}

// Adds the blocks lane, lane + 32, ... of a column.
__device__ __forceinline__ NormSums add_own_blocks(const NormSums* blocks, const NormExtent& e, const NormColumn& c) {
  NormSums sum;
#pragma unroll 4
  for (Index b = c.lane; b < e.blocks(); b += kWarp) sum += blocks[b * e.channels + c.channel];
  return sum;
}

}  // namespace gridstep
