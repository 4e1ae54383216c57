// The own gradients of a convolution in bfloat16 on CUDA, as conv2d.h defines them: matrix products on tensor cores,
// for all replicas at once. With K8 and C8 the channels rounded up to multiples of 8 and b() the rounding to bfloat16:
//
//   data     dx = conv^T(b(dy s_w[k]), w): implicit_gemm.cuh on operands of two bytes.
//            Rows: pixels of dx; columns: c; terms: (r, s, k). A stride of 2 parts the pixels into four phases
//            (gradient_phases.h), each an ordinary convolution of dy with its own taps, so that nothing is multiplied
//            by zeros in between.
//            Launches: "operands" rounds dy to (N, P, Q, K8) and turns w to (phase, C, r, s, K8); "" multiplies.
//   weight   dw = s_x corr(x, b(dy)).
//            Rows: k; columns: (r, s, c); terms: pixels of dy, cut into pieces by the geometry.
//            Launches: "operands" rounds dy to (N, P, Q, K8) and x to (N, H, W, C8); "" multiplies, a sum per piece;
//            "sum" adds the pieces in order. With a bias two more (conv2d_cuda.h).
//
// x, w: floats, rounded as well, or codes, exact. Sums are float32. Any filter and padding, strides of 1 and 2 (weight:
// any). Deterministic: the order of every sum depends on the geometry only, neither on replicas nor on the device. An
// infinity or NaN of dy may reach other elements of dx and dw than those it belongs to, never another replica's.
#pragma once

#include "kernels/conv2d/conv2d_cuda.h"

namespace gridstep {

// Bytes per replica; record_* want a workspace of that size, aligned to 16 bytes. Throws ConfigError for strides and
// sizes beyond (check_bf16_counts).
Bytes bf16_data_gradient_workspace(const ConvGeometry& g);
Bytes bf16_weight_gradient_workspace(const ConvGeometry& g);

// Nodes of conv2d_backward_data_op and conv2d_backward_weight_op; attrs.gradients is not looked at, attrs.gemm chooses
// the data gradient's tile (64x32 or the larger), which changes no bit.
void record_bf16_data_gradient_cuda(Recorder& recorder, const BoundNode& node);
void record_bf16_weight_gradient_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
