#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/psnr/psnr.h"
#include "kernels/psnr/psnr_math.h"

namespace gridstep {
namespace {

// A block per row of the image: the row's sums in rgb and, `height` further on, in luma.
__global__ void __launch_bounds__(kTreeThreads)
    psnr_rows_kernel(Strided<const float> prediction, Strided<const std::uint8_t> target, Strided<double> partial,
                     CroppedArea rgb, CroppedArea y) {
  const Index row = blockIdx.x;
  const float* const p = prediction.at(blockIdx.y) + row * rgb.width * 3;
  const std::uint8_t* const t = target.at(blockIdx.y) + row * rgb.width * 3;
  const auto error = [=](Index column) { return PixelError(p + column * 3, t + column * 3); };
  const double sum_rgb =
      block_lane_sum(rgb.has_row(row) ? rgb.columns() : 0, [=](Index i) { return error(rgb.crop + i).squared_rgb(); });
  const double sum_luma =
      block_lane_sum(y.has_row(row) ? y.columns() : 0, [=](Index i) { return error(y.crop + i).squared_luma(); });
  if (threadIdx.x == 0) {
    partial.at(blockIdx.y)[row] = sum_rgb;
    partial.at(blockIdx.y)[rgb.height + row] = sum_luma;
  }
}

__global__ void __launch_bounds__(kTreeThreads)
    psnr_mean_kernel(Strided<const double> partial, Strided<double> out, CroppedArea rgb, CroppedArea y) {
  const double* const sums = partial.at(blockIdx.x);
  const double sum_rgb = block_lane_sum(rgb.height, [=](Index i) { return sums[i]; });
  const double sum_luma = block_lane_sum(rgb.height, [=](Index i) { return sums[rgb.height + i]; });
  if (threadIdx.x == 0) finish_psnr(sum_rgb, sum_luma, rgb, y, out.at(blockIdx.x));
}

}  // namespace

void record_psnr_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<PsnrAttrs>();
  const auto prediction = strided<const float>(node.in[0]);
  const auto target = strided<const std::uint8_t>(node.in[1]);
  const auto partial = strided<double>(node.workspace);
  const auto out = strided<double>(node.out[0]);
  const Index height = node.in[0].shape[1], width = node.in[0].shape[2];
  const CroppedArea rgb{height, width, attrs.rgb_crop}, y{height, width, attrs.y_crop};
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(psnr_rows_kernel, dim3(static_cast<unsigned>(height), replicas), dim3(kTreeThreads), 0, stream, prediction,
           target, partial, rgb, y);
  });
  recorder.launch("mean", 1, [=](const TaskContext&) {
    launch(psnr_mean_kernel, dim3(replicas), dim3(kTreeThreads), 0, stream,
           Strided<const double>{partial.data, partial.stride}, out, rgb, y);
  });
}

}  // namespace gridstep
