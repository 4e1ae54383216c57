// Between the convolution ops and their device halves.
#pragma once

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

void record_conv2d_cpu(Recorder& recorder, const BoundNode& node);
void record_conv2d_backward_data_cpu(Recorder& recorder, const BoundNode& node);
void record_conv2d_backward_weight_cpu(Recorder& recorder, const BoundNode& node);

// What follows the sums of a forward node; absent tensors have null data.
struct ConvTail {
  Tensor bias, x_step, w_step, residual, parameter;
  Tensor y, codes, step, norm_sums;
};
ConvTail conv_tail(const BoundNode& node);

// Bytes per replica on the CPU: filters in oneDNN's layout, weight gradients per chunk. The CUDA plug-in brings its
// own.
Bytes conv2d_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind device);
Bytes conv2d_backward_data_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind device);
Bytes conv2d_backward_weight_workspace(const Node& node, std::span<const ValueSpec> in, DeviceKind device);

// Bytes per thread on the CPU: operands and results of a chunk in other types, the library's own.
Bytes conv2d_scratch(const Node& node, std::span<const ValueSpec> in);
Bytes conv2d_backward_data_scratch(const Node& node, std::span<const ValueSpec> in);
Bytes conv2d_backward_weight_scratch(const Node& node, std::span<const ValueSpec> in);

}  // namespace gridstep
