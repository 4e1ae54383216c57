// Sums whose order depends on the number of terms only, so that CPU, SIMT harness and GPU give the same bits.
//
//   lane l of 1024 adds the terms l, l + 1024, l + 2048, ... in order;
//   thread t of 256 adds its lanes: (4t + 4t+1) + (4t+2 + 4t+3);
//   each warp of 32 threads folds by halves (16, 8, 4, 2, 1); the 8 warps are added in order.
// Long vectors are cut into blocks of kTreeBlock terms; the blocks' sums are terms of a second such sum.
// The device's form is block_lane_sum (reduce.cuh).
#pragma once

#include "engine/base/hd.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

constexpr int kTreeLanes = 1024;
constexpr int kTreeThreads = 256;
constexpr int kLanesPerThread = kTreeLanes / kTreeThreads;
constexpr int kWarp = 32;
constexpr Index kTreeBlock = 4096;

GS_HD constexpr Index tree_blocks(Index n) { return (n + kTreeBlock - 1) / kTreeBlock; }

namespace detail {

inline double fold_lanes(const double* lanes) {
  double thread[kTreeThreads];
  for (int t = 0; t < kTreeThreads; ++t) {
    const double* lane = lanes + Index{kLanesPerThread} * t;
    thread[t] = (lane[0] + lane[1]) + (lane[2] + lane[3]);
  }
  double sum = 0.0;
  for (int first = 0; first < kTreeThreads; first += kWarp) {
    for (int half = kWarp / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) thread[first + i] += thread[first + i + half];
    }
    sum += thread[first];
  }
  return sum;
}

}  // namespace detail

// Sum of term(0) ... term(n - 1) as doubles.
template <class F>
double lane_sum(Index n, F term) {
  alignas(64) double lanes[kTreeLanes] = {};
  for (Index base = 0; base < n; base += kTreeLanes) {
    const Index count = n - base < kTreeLanes ? n - base : kTreeLanes;
    for (Index l = 0; l < count; ++l) lanes[l] += static_cast<double>(term(base + l));
  }
  return detail::fold_lanes(lanes);
}

}  // namespace gridstep
