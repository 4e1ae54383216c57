// y = tanh(x), and its gradient from the output.
//   tanh:           y[i]  = strict::tanh(x[i])         within 2 ulp; NaN stays NaN
//   tanh_backward:  dx[i] = dy[i] * (1 - y[i] * y[i])  from y, so that x need not be kept
// Any shape, f32. dx is overwritten. Elementwise: same bits on every device.
#pragma once

#include <string>

#include "engine/base/hd.h"
#include "engine/base/strict_math.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct Tanh {
  GS_HD float operator()(float x) const { return strict::tanh(x); }
};
struct TanhBackward {
  GS_HD float operator()(float y, float dy) const { return dy * (1.0f - y * y); }
};

ValueId tanh(Graph& graph, std::string name, ValueId x);

const OpDef& tanh_op();
const OpDef& tanh_backward_op();

void record_tanh_cpu(Recorder& recorder, const BoundNode& node);
void record_tanh_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_tanh_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_tanh_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
