#include "kernels/common/elementwise_cpu.h"
#include "kernels/common/status.h"
#include "kernels/pixels_from_float/pixels_from_float.h"

namespace gridstep {

void record_pixels_from_float_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor in = node.in[0], out = node.out[0];
  const int tasks = elementwise_tasks(out.shape), node_index = recorder.node_index();
  const StepParams* params = recorder.params();
  ReplicaStatus* status = recorder.status();
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(out.elements(), tasks, context.task);
    const float* __restrict x = in.at<const float>(context.replica);
    std::uint8_t* __restrict y = out.at<std::uint8_t>(context.replica);
    int nan = 0;
    for (Index i = begin; i < end; ++i) {
      y[i] = PixelsFromFloat{}(x[i]);
      nan |= static_cast<int>(strict::is_nan(x[i]));
    }
    if (nan != 0) note_fault(status[context.replica], params[context.replica].step, node_index);
  });
}

}  // namespace gridstep
