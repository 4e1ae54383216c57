#include "kernels/common/elementwise.cuh"
#include "kernels/tanh/tanh.h"

namespace gridstep {

void record_tanh_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, float>(recorder, node, Tanh{});
}

void record_tanh_backward_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, float, float>(recorder, node, TanhBackward{});
}

}  // namespace gridstep
