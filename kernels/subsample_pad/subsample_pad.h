// The shortcut without parameters of residual networks where the shape changes (He et al., CVPR 2016, option A): every
// stride-th pixel each way, and zero channels on both sides.
//   y[n,p,q,c] = x[n, stride p, stride q, c - before]   where 0 <= c - before < C, else 0
//   backward: dx[n,h,w,c] = dy[n, h/stride, w/stride, c + before] where stride divides h and w, else 0
//   x, dx: f32 (N, H, W, C)   y, dy: f32 (N, ceil(H/stride), ceil(W/stride), before + C + after)
// Values are moved only: same bits on every device.
#pragma once

#include <string>

#include "engine/base/hd.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct SubsamplePadAttrs {
  Index stride = 2;
  Index before = 0, after = 0;  // zero channels
  Index height = 0, width = 0;  // backward only: of the image to return to
};

ValueId subsample_pad(Graph& graph, std::string name, ValueId x, const SubsamplePadAttrs& attrs);

const OpDef& subsample_pad_op();
const OpDef& subsample_pad_backward_op();

void record_subsample_pad_cpu(Recorder& recorder, const BoundNode& node);
void record_subsample_pad_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_subsample_pad_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_subsample_pad_backward_cuda(Recorder& recorder, const BoundNode& node);

// Where the values of one side come from on the other; shared by both devices and both directions.
struct SubsampleShape {
  Index h, w, c;  // of x
  Index p, q, k;  // of y
  Index stride, before;

  // Index in a sample's x of element `at` of its y; -1 for a zero.
  GS_HD Index source(Index at) const {
    const Index channel = at % k - before, pixel = at / k;
    if (channel < 0 || channel >= c) return -1;
    return (pixel / q * stride * w + pixel % q * stride) * c + channel;
  }
  // Index in a sample's dy of element `at` of its dx; -1 for a zero.
  GS_HD Index target(Index at) const {
    const Index channel = at % c, pixel = at / c, row = pixel / w, column = pixel % w;
    if (row % stride != 0 || column % stride != 0) return -1;
    return (row / stride * q + column / stride) * k + channel + before;
  }
};
SubsampleShape subsample_shape(const Shape& x, const Shape& y, const SubsamplePadAttrs& attrs);

}  // namespace gridstep
