#include "kernels/common/elementwise_cpu.h"
#include "kernels/tanh/tanh.h"

namespace gridstep {

void record_tanh_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, float>(recorder, node, Tanh{});
}

void record_tanh_backward_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, float, float>(recorder, node, TanhBackward{});
}

}  // namespace gridstep
