#include "kernels/image_batch/image_batch_math.h"

namespace gridstep {

void record_image_batch_cpu(Recorder& recorder, const BoundNode& node) {
  const auto attrs = node.attrs<ImageBatchAttrs>();
  const Tensor images = node.out[0], labels = node.out[1];
  const int tasks = Recorder::chunks(attrs.batch);
  const StepParams* params = recorder.params();
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(attrs.batch, tasks, context.task);
    const Index image_bytes = Index{3} * attrs.table.side * attrs.table.side;
    std::uint8_t* to = images.at<std::uint8_t>(context.replica) + begin * attrs.crop * attrs.crop * 3;
    for (Index i = begin; i < end; ++i) {
      const ImageDraw draw = draw_image(attrs, params[context.replica], i);
      labels.at<std::int32_t>(context.replica)[i] = attrs.table.labels[draw.image];
      const std::uint8_t* const from = attrs.table.pixels + draw.image * image_bytes;
      for (int y = 0; y < attrs.crop; ++y) {
        for (int x = 0; x < attrs.crop; ++x, to += 3) {
          draw.write(from, y, x, attrs.crop, attrs.table.side, to);
        }
      }
    }
  });
}

}  // namespace gridstep
