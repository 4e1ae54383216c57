// Initial quantizer steps from data.
//   lsq   s0 = 2 mean|v| / sqrt(p)                          (Esser et al. 2020, section 2.1), for up to 5 bits
//   mse   the s that minimises sum (v - q(v) s)^2 over 95 factors 1.00, 0.99 ... 0.06 of the range that clips nothing;
//         weights on the values, activations on a histogram of 2048 bins
// A tensor of zeros gives 1: any step represents it. NaN and infinities are passed over.
#pragma once

#include <span>

#include "kernels/quantize/quantize_math.h"

namespace gridstep {

constexpr int kLsqInitMaxBits = 5;

double lsq_initial_step(std::span<const float> values, CodeRange range);
double mse_initial_step(std::span<const float> values, CodeRange range);
// The same from a histogram: for large tensors.
double mse_histogram_step(std::span<const float> values, CodeRange range);

// The rule for a range: bits up to 5 by LSQ's formula, from 6 by MSE.
double initial_step(std::span<const float> values, CodeRange range, bool large);

}  // namespace gridstep
