// Mean over the pixels of each channel.
//   y[n,c] = (1/(H W)) sum_{h,w} x[n,h,w,c]          backward: dx[n,h,w,c] = dy[n,c] (1/(H W))
//   x, dx: f32 (N, H, W, C)   y, dy: f32 (N, 1, 1, C), an image of one pixel: what a fully connected layer takes
// The sum runs in double over the pixels in order: same bits on every device.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

ValueId global_avg_pool(Graph& graph, std::string name, ValueId x);

struct GlobalAvgPoolBackwardAttrs {
  Index height = 0, width = 0;  // of the image to return to
};

const OpDef& global_avg_pool_op();
const OpDef& global_avg_pool_backward_op();

void record_global_avg_pool_cpu(Recorder& recorder, const BoundNode& node);
void record_global_avg_pool_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_global_avg_pool_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_global_avg_pool_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
