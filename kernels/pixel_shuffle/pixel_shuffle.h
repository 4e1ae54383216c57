// Sub-pixel rearrangement (Shi et al., CVPR 2016) in channels-last layout, and its gradient, the inverse permutation.
//   pixel_shuffle:           y[n, h*r + i, w*r + j, c] = x[n, h, w, c*r*r + i*r + j]
//   pixel_shuffle_backward:  dx[n, h, w, c*r*r + i*r + j] = dy[n, h*r + i, w*r + j, c]
//   x, dx: f32 (N, H, W, C*r*r)     y, dy: f32 (N, H*r, W*r, C)
// The channel order is PyTorch's (PixelShuffle), not depth_to_space's. Overwrites; not in place. Every element is read
// and written once; no arithmetic, hence the same bits on every device. A replica's tensor has less than 2^31 elements.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct PixelShuffleAttrs {
  int upscale = 1;  // r >= 1
};

ValueId pixel_shuffle(Graph& graph, std::string name, ValueId x, PixelShuffleAttrs attrs);

const OpDef& pixel_shuffle_op();
const OpDef& pixel_shuffle_backward_op();

void record_pixel_shuffle_cpu(Recorder& recorder, const BoundNode& node);
void record_pixel_shuffle_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_pixel_shuffle_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_pixel_shuffle_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
