#include "kernels/fold_norm/fold_norm.h"

namespace gridstep {

void record_fold_norm_cpu(Recorder& recorder, const BoundNode& node) {
  const FoldTensors t = fold_tensors(node);
  const float eps = node.attrs<FoldNormAttrs>().eps;
  const Index channels = t.gamma.elements(), row = t.scaled.elements() / channels;
  const bool single = t.w.elements() == 1;
  const int tasks = Recorder::chunks(channels);
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const int r = context.replica;
    const auto [begin, end] = Recorder::part(channels, tasks, context.task);
    for (Index k = begin; k < end; ++k) {
      const FoldChannel fold(t.gamma.at<float>(r)[k], t.beta.at<float>(r)[k], t.mean.at<float>(r)[k],
                             t.var.at<float>(r)[k], t.bias.data != nullptr ? t.bias.at<float>(r)[k] : 0.0f, eps);
      t.new_bias.at<float>(r)[k] = fold.bias;
      const float* const w = t.w.at<float>(r) + (single ? 0 : k * row);
      float* const scaled = t.scaled.at<float>(r) + k * row;
      for (Index i = 0; i < row; ++i) scaled[i] = fold.scaled(w[i]);
    }
  });
}

}  // namespace gridstep
