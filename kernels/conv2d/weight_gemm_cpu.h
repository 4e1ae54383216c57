// The gradient of weights as one matrix product, for layers with more filters than pixels:
//   dw (K, R S C) = dy^T (K, N P Q) x columns (N P Q, R S C), columns[n p q][r s c] = x under the filter, 0 outside
// Tasks take filters, each over the whole batch: cutting the batch would write and add up as many copies of dw.
#pragma once

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

bool uses_weight_gemm(const ConvGeometry& g);
Bytes weight_gemm_workspace(const ConvGeometry& g, const Conv2dAttrs& attrs);
Bytes weight_gemm_scratch(const ConvGeometry& g, const Conv2dAttrs& attrs);  // per thread
// The whole of conv2d_backward_weight.
void record_weight_gemm_cpu(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
