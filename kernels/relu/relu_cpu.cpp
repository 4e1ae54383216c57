#include "kernels/common/elementwise_cpu.h"
#include "kernels/relu/relu.h"

namespace gridstep {

void record_relu_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, float>(recorder, node, Relu{});
}

void record_relu_backward_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, float, float>(recorder, node, ReluBackward{});
}

}  // namespace gridstep
