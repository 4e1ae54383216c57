#include "kernels/common/lane_sum.h"
#include "kernels/psnr/psnr.h"
#include "kernels/psnr/psnr_math.h"

namespace gridstep {

void record_psnr_cpu(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<PsnrAttrs>();
  const Tensor prediction = node.in[0], target = node.in[1], out = node.out[0], partial = node.workspace;
  const Index height = prediction.shape[1], width = prediction.shape[2];
  const CroppedArea rgb{height, width, attrs.rgb_crop}, y{height, width, attrs.y_crop};
  const int tasks = Recorder::chunks(height);

  recorder.launch("", tasks, [=](const TaskContext& context) {
    const auto [begin, end] = Recorder::part(height, tasks, context.task);
    double* sums = partial.at<double>(context.replica);  // rgb of all rows, then luma
    for (Index row = begin; row < end; ++row) {
      const float* p = prediction.at<const float>(context.replica) + row * width * 3;
      const std::uint8_t* t = target.at<const std::uint8_t>(context.replica) + row * width * 3;
      auto error = [=](Index column) { return PixelError(p + column * 3, t + column * 3); };
      sums[row] =
          lane_sum(rgb.has_row(row) ? rgb.columns() : 0, [=](Index i) { return error(rgb.crop + i).squared_rgb(); });
      sums[height + row] =
          lane_sum(y.has_row(row) ? y.columns() : 0, [=](Index i) { return error(y.crop + i).squared_luma(); });
    }
  });
  recorder.launch("mean", 1, [=](const TaskContext& context) {
    const double* sums = partial.at<const double>(context.replica);
    finish_psnr(lane_sum(height, [=](Index i) { return sums[i]; }),
                lane_sum(height, [=](Index i) { return sums[height + i]; }), rgb, y, out.at<double>(context.replica));
  });
}

}  // namespace gridstep
