#include "kernels/add/add.h"
#include "kernels/common/elementwise_cpu.h"

namespace gridstep {

void record_add_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, float, float>(recorder, node, Add{});
}

}  // namespace gridstep
