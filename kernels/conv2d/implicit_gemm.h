// The own forward convolution on codes on CUDA: one launch from codes to values (and codes of a fused quantizer), for
// all replicas, as an implicit matrix product on tensor cores.
//
//   rows: output pixels (n, p, q);  columns: filters k;  terms: (r, s, c), so that the filters are a plain K x (RSC)
//   matrix and row m of the image's matrix is gathered from x as it is needed: code 0 outside of the image. x: (N, H,
//   W, C) codes u8 or s8;  w: (K, R, S, C) codes s8;  then the epilogue of conv2d_cuda.h on float(sum)
//
// Any filter, stride, padding and channel count. Where C is a multiple of 16 and memory is aligned to 16 bytes,
// operands come by 16-byte asynchronous copies; else they are gathered byte by byte. Sums are exact, so the choice of
// tile and arithmetic (conv_choice.h) changes no bit.
#pragma once

#include "kernels/conv2d/conv2d_cuda.h"
#include "kernels/conv2d/conv_choice.h"

namespace gridstep {

void record_implicit_gemm_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
