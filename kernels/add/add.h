// z = a + b: sums two contributions to a gradient, or two branches of a network.
//   z[i] = a[i] + b[i]
// f32, equal shapes. The gradient passes unchanged to both inputs. Elementwise: same bits on every device.
#pragma once

#include <string>

#include "engine/base/hd.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct Add {
  GS_HD float operator()(float a, float b) const { return a + b; }
};

ValueId add(Graph& graph, std::string name, ValueId a, ValueId b);

const OpDef& add_op();

void record_add_cpu(Recorder& recorder, const BoundNode& node);
void record_add_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
