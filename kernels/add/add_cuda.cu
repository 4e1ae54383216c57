#include "kernels/add/add.h"
#include "kernels/common/elementwise.cuh"

namespace gridstep {

void record_add_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, float, float>(recorder, node, Add{});
}

}  // namespace gridstep
