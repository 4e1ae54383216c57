#include "kernels/common/elementwise.cuh"
#include "kernels/relu/relu.h"

namespace gridstep {

void record_relu_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, float>(recorder, node, Relu{});
}

void record_relu_backward_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, float, float>(recorder, node, ReluBackward{});
}

}  // namespace gridstep
