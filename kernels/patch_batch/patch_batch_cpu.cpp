#include <cstring>

#include "kernels/patch_batch/patch_batch_math.h"

namespace gridstep {
namespace {

void copy_patch(const PatchWalk& walk, int size, std::uint8_t* out) {
  for (Index row = 0; row < size; ++row) {
    const std::uint8_t* from = walk.origin + row * walk.row_stride;
    std::uint8_t* const to = out + row * size * 3;
    if (walk.column_stride == 3) {
      std::memcpy(to, from, static_cast<std::size_t>(size) * 3);
      continue;
    }
    for (Index column = 0; column < size; ++column, from += walk.column_stride) {
      to[column * 3] = from[0];
      to[column * 3 + 1] = from[1];
      to[column * 3 + 2] = from[2];
    }
  }
}

}  // namespace

void record_patch_batch_cpu(Recorder& recorder, const BoundNode& node) {
  const auto attrs = node.attrs<PatchBatchAttrs>();
  const Tensor lr = node.out[0], hr = node.out[1];
  const int tasks = Recorder::chunks(attrs.batch);
  const StepParams* params = recorder.params();
  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(attrs.batch, tasks, context.task);
    const int small = attrs.patch, large = attrs.patch * attrs.scale;
    for (Index i = begin; i < end; ++i) {
      const PatchDraw draw = draw_patch(attrs.table, params[context.replica], i, small);
      copy_patch(draw.walk(attrs.table.pixels, draw.photo.lr_offset, 1, small), small,
                 lr.at<std::uint8_t>(context.replica) + i * small * small * 3);
      copy_patch(draw.walk(attrs.table.pixels, draw.photo.hr_offset, attrs.scale, large), large,
                 hr.at<std::uint8_t>(context.replica) + i * large * large * 3);
    }
  });
}

}  // namespace gridstep
