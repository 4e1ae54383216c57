// y = max(x, 0), and its gradient.
//   relu:           y[i]  = x[i] < 0 ? 0 : x[i]        NaN stays NaN
//   relu_backward:  dx[i] = x[i] <= 0 ? 0 : dy[i]      0 at the kink; a NaN x lets dy pass
// Any shape, f32. dx is overwritten. Elementwise: same bits on every device.
#pragma once

#include <string>

#include "engine/base/hd.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct Relu {
  GS_HD float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
};
struct ReluBackward {
  GS_HD float operator()(float x, float dy) const { return x <= 0.0f ? 0.0f : dy; }
};

ValueId relu(Graph& graph, std::string name, ValueId x);

const OpDef& relu_op();
const OpDef& relu_backward_op();

void record_relu_cpu(Recorder& recorder, const BoundNode& node);
void record_relu_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_relu_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_relu_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
