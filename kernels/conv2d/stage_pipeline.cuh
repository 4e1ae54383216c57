// The main loop of a matrix product whose operands come to shared memory by asynchronous copies, kStages - 1 stages
// ahead of the one that is multiplied.
#pragma once

#include "engine/device/cuda/ptx.cuh"

namespace gridstep {

// load(step) starts the copies of a stage, step modulo kStages; add(step) multiplies it. All threads. Afterwards no
// copy is under way, and the stages may be written.
template <int kStages, class Load, class Add>
__device__ __forceinline__ void run_stages(int steps, const Load& load, const Add& add) {
#pragma unroll 1
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) load(step);
    ptx::cp_async_commit();
  }
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<kStages - 2>();
    __syncthreads();  // this stage has come for all threads, and all are done with the one before
    const int next = step + kStages - 1;
    if (next < steps) load(next);
    ptx::cp_async_commit();
    add(step);
  }
  __syncthreads();  // the last groups are empty
}

}  // namespace gridstep
