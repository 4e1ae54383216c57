#include "kernels/common/elementwise_cpu.h"
#include "kernels/common/lane_sum.h"
#include "kernels/image_loss/image_loss_math.h"

namespace gridstep {
namespace {

template <class L>
void record_block_sums(Recorder& recorder, const BoundNode& node) {
  const Tensor prediction = node.in[0], target = node.in[1], partial = node.workspace;
  const Index n = prediction.elements(), blocks = tree_blocks(n);
  const int tasks = Recorder::chunks(blocks);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(blocks, tasks, context.task);
    for (Index block = begin; block < end; ++block) {
      const Index first = block * kTreeBlock, count = n - first < kTreeBlock ? n - first : kTreeBlock;
      const float* __restrict p = prediction.at<const float>(context.replica) + first;
      const std::uint8_t* __restrict t = target.at<const std::uint8_t>(context.replica) + first;
      partial.at<double>(context.replica)[block] = lane_sum(count, [&](Index i) { return LossValue<L>{}(p[i], t[i]); });
    }
  });
}

}  // namespace

void record_image_loss_cpu(Recorder& recorder, const BoundNode& node) {
  visit_loss(node.attrs<ImageLossAttrs>().kind, [&]<class L>(L) { record_block_sums<L>(recorder, node); });
  const Tensor loss = node.out[0], partial = node.workspace;
  const Index n = node.in[0].elements();
  const int node_index = recorder.node_index();
  const StepParams* params = recorder.params();
  ReplicaStatus* status = recorder.status();
  recorder.launch("mean", 1, [=](const TaskContext& context) {
    const double* sums = partial.at<const double>(context.replica);
    const double sum = lane_sum(tree_blocks(n), [&](Index i) { return sums[i]; });
    finish_loss(sum, static_cast<double>(n), loss.at<double>(context.replica), status[context.replica],
                params[context.replica].step, node_index);
  });
}

void record_image_loss_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const float inv_count = static_cast<float>(1.0 / static_cast<double>(node.out[0].elements()));
  visit_loss(node.attrs<ImageLossAttrs>().kind, [&]<class L>(L) {
    record_elementwise_cpu<float, float, std::uint8_t>(recorder, node, LossGradient<L>{inv_count});
  });
}

}  // namespace gridstep
