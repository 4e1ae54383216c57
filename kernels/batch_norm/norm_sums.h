// Sums of x and x^2 over blocks of pixels: the first pass of batch normalisation, for the convolutions that end in it.
#pragma once

#include "engine/graph/op.h"
#include "kernels/batch_norm/norm_math.h"

namespace gridstep {

// f64 (blocks, C, 2), an entry a NormSums: of x (N, H, W, C).
ValueSpec norm_sums_spec(const Shape& x);

// Sums of one block: `pixels` rows of C values -> C entries.
void norm_block_sums_cpu(const float* x, Index pixels, Index channels, NormSums* sums);

// Adds a launch that computes all of them. In the CUDA plug-in.
void record_norm_sums_cuda(Recorder& recorder, const Tensor& x, const Tensor& sums);

}  // namespace gridstep
