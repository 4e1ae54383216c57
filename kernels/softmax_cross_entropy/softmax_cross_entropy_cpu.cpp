#include <limits>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/softmax_cross_entropy/softmax_math.h"

namespace gridstep {
namespace {

// NaN if any is: a comparison alone would pass it over.
float largest_of(const float* x, Index classes) {
  float largest = x[0];
  for (Index k = 1; k < classes; ++k) largest = x[k] > largest || strict::is_nan(x[k]) ? x[k] : largest;
  return largest;
}

SoftmaxLane sum_classes(const float* x, Index classes, float largest, float of_label, int label) {
  SoftmaxLane lanes[kWarp];
  for (Index base = 0; base < classes; base += kWarp) {
    const int count = static_cast<int>(classes - base < kWarp ? classes - base : kWarp);
    for (int l = 0; l < count; ++l) {
      lanes[l].add(x[base + l], static_cast<int>(base) + l, largest, of_label, label);
    }
  }
  for (int half = kWarp / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l].add(lanes[l + half]);
  }
  return lanes[0];
}

}  // namespace

void record_softmax_cross_entropy_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor logits = node.in[0], labels = node.in[1], loss = node.out[0], correct = node.out[1];
  const Tensor samples = node.workspace;
  const Index n = logits.shape[0], classes = logits.shape[logits.shape.rank() - 1];
  const SmoothedTarget target = smoothed_target(node.attrs<SoftmaxCrossEntropyAttrs>().smoothing, classes);
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(n, tasks, context.task);
    const auto* const y = labels.at<const std::int32_t>(context.replica);
    for (Index i = begin; i < end; ++i) {
      const float* const x = logits.at<const float>(context.replica) + i * classes;
      const bool known = y[i] >= 0 && y[i] < classes;
      const float of_label = x[known ? y[i] : 0], largest = largest_of(x, classes);
      samples.at<SampleLoss>(context.replica)[i] =
          sample_loss(sum_classes(x, classes, largest, of_label, y[i]), largest, of_label, known, target);
    }
  });
  recorder.launch("mean", 1,
                  [=, index = recorder.node_index(), params = recorder.params(),
                   status = recorder.status()](const TaskContext& context) {
                    const auto* const s = samples.at<const SampleLoss>(context.replica);
                    const auto within = [&](int rank) {
                      return lane_sum(n, [&](Index i) { return s[i].rank < rank ? 1.0 : 0.0; });
                    };
                    const double sum = lane_sum(n, [&](Index i) { return s[i].loss; });
                    finish_cross_entropy(sum, within(1), within(5), static_cast<double>(n),
                                         loss.at<double>(context.replica), correct.at<double>(context.replica),
                                         status[context.replica], params[context.replica].step, index);
                  });
}

void record_softmax_cross_entropy_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor logits = node.in[0], labels = node.in[1], dx = node.out[0];
  const Index n = logits.shape[0], classes = logits.shape[logits.shape.rank() - 1];
  const SmoothedTarget target = smoothed_target(node.attrs<SoftmaxCrossEntropyAttrs>().smoothing, classes);
  const auto inv_count = static_cast<float>(1.0 / static_cast<double>(n));
  const int tasks = Recorder::chunks(n);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(n, tasks, context.task);
    const auto* const y = labels.at<const std::int32_t>(context.replica);
    for (Index i = begin; i < end; ++i) {
      const float* const x = logits.at<const float>(context.replica) + i * classes;
      float* const d = dx.at<float>(context.replica) + i * classes;
      const float largest = largest_of(x, classes);
      const float log_z = log_partition(largest, sum_classes(x, classes, largest, 0.0f, 0).exps);
      for (Index k = 0; k < classes; ++k) d[k] = target.gradient(x[k], log_z, k == y[i], inv_count);
    }
  });
}

}  // namespace gridstep
