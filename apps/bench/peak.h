// The processor's float32 rate: the ceiling that convolutions are measured against.
#pragma once

namespace gridstep {

// GFLOP/s of independent fused multiply-adds in registers, on so many threads at once; the best of several short runs.
double fma_peak_gflops(int threads);

}  // namespace gridstep
