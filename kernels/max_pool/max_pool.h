// Largest value of each window, per channel.
//   y[n,p,q,c] = max over (r, s) of x[n, p stride - pad + r, q stride - pad + s, c], 0 <= r, s < window, inside the
//   image place[n,p,q,c] = r window + s of the chosen pixel: the first in that order; a NaN counts as largest, the
//   first one wins backward: dx[n,h,w,c] = sum of dy over the windows that chose the pixel, in the order of (p, q) x,
//   dx: f32 (N, H, W, C)   y, dy: f32 (N, P, Q, C)   place: u8 (N, P, Q, C) P = floor((H + 2 pad - window) / stride) +
//   1, likewise Q; pad <= window / 2, so that no window is empty
// Exact: no arithmetic but the backward sum, whose order is fixed. Same bits on every device. As PyTorch's MaxPool2d.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct MaxPoolAttrs {
  int window = 3, stride = 2, pad = 1;
  Index height = 0, width = 0;  // backward only: of the image to return to
};

ValueId max_pool(Graph& graph, std::string name, ValueId x, MaxPoolAttrs attrs);

const OpDef& max_pool_op();           // x -> (y, place)
const OpDef& max_pool_backward_op();  // (dy, place) -> dx

void record_max_pool_cpu(Recorder& recorder, const BoundNode& node);
void record_max_pool_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_max_pool_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_max_pool_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
