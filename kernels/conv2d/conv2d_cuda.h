// Convolutions on CUDA. The forward pass on codes is the own kernel's (implicit_gemm.h) or cuDNN's, as conv_choice.h
// says; gradients in bfloat16 are the own kernels' (bf16_gradients.h); all else is a library's (library_plan.h),
// surrounded by launches of ours: codes to floats before, the exact epilogue and bias gradients after. Each launch of
// ours covers all replicas. Tensors with null data are absent.
#pragma once

#include <optional>

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

void record_conv2d_cuda(Recorder& recorder, const BoundNode& node);
void record_conv2d_backward_data_cuda(Recorder& recorder, const BoundNode& node);
void record_conv2d_backward_weight_cuda(Recorder& recorder, const BoundNode& node);

// Bytes per replica on CUDA.
Bytes conv2d_cuda_workspace(const Node& node, std::span<const ValueSpec> in);
Bytes conv2d_backward_data_cuda_workspace(const Node& node, std::span<const ValueSpec> in);
Bytes conv2d_backward_weight_cuda_workspace(const Node& node, std::span<const ValueSpec> in);

// x_floats = codes of x;  w_floats[k] = codes of w[k], times w_step[k] where there is a w_step. x or w may be absent.
// `largest_code` > 0 counts the channels k with sum |w[k]| * largest_code > 2^24 in ReplicaStatus::inexact.
struct ConvOperands {
  Tensor x, x_floats;
  Tensor w, w_floats, w_step;
  int largest_code = 0;
};
void record_conv_operands(Recorder& recorder, const ConvOperands& operands);

// y[.., k] = sums[.., k] * s[k] + bias[k], s[k] = x_step * w_step[k] formed first, every operation rounded; without
// steps y = sums + bias; without bias nothing is added. Then the residual, where there is one, and the ReLU. With a
// quantizer also its codes and its step; y may then be absent, and may be `sums` itself. norm_sums, absent or not, is
// left to others.
struct ConvEpilogue {
  Index channels = 0;  // K
  Tensor sums, bias, x_step, w_step, y;
  std::optional<QuantizeAttrs> quantize;
  Tensor parameter, codes, step;
  Tensor norm_sums = {};
  Tensor residual = {};
  bool relu = false;
};
void record_conv_epilogue(Recorder& recorder, const ConvEpilogue& epilogue);
// That of a forward node, with no sums yet.
ConvEpilogue conv_epilogue(const BoundNode& node);

// Bias gradient db[k] = sum of dy[.., k], in double in an order fixed by the shape: first sums of `conv_bias_blocks`
// pieces into `partial` (f64: blocks x K), then their sum. The second launch also multiplies dw by x_step where
// present.
Index conv_bias_blocks(const Shape& dy);
void record_conv_bias_sums(Recorder& recorder, const Tensor& dy, const Tensor& partial);
struct ConvWeightFinish {
  Tensor partial, db, dw, x_step;
  Index blocks = 0;
};
void record_conv_weight_finish(Recorder& recorder, const ConvWeightFinish& finish);

}  // namespace gridstep
