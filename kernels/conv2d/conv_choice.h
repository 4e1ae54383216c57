// Which code computes a forward convolution on codes on CUDA: chosen from tables by the shape, the same in every run.
// All choices give the same bits.
#pragma once

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

// Whether the own kernel takes this convolution; else cuDNN does. Floats are cuDNN's. Throws ConfigError where the
// attributes ask for the own kernel and it cannot: sums beyond int32, or more than 2^30 output pixels.
bool uses_own_conv(const Conv2dAttrs& attrs, const ConvGeometry& geometry, DType x);

// For a launch over all replicas; attrs.gemm goes first. Throws ConfigError where that is bf16 and sums can be inexact.
GemmChoice choose_gemm(const Conv2dAttrs& attrs, const ConvGeometry& geometry, DType x, int replicas);

// The largest magnitude that a sum of products of codes can have.
std::int64_t largest_sum(const Conv2dAttrs& attrs, const ConvGeometry& geometry, DType x);

}  // namespace gridstep
