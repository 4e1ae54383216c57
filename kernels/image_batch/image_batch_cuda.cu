#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/image_batch/image_batch_math.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kPixelsPerBlock = 4 * kThreads;

struct Arguments {
  ImageBatchAttrs attrs;
  Strided<std::uint8_t> images;
  Strided<std::int32_t> labels;
  const StepParams* params;
};

// Blocks (sample, part of the image, replica).
__global__ void __launch_bounds__(kThreads) image_batch_kernel(const __grid_constant__ Arguments a) {
  SHARED(draw, ImageDraw);
  const Index sample = blockIdx.x;
  const unsigned replica = blockIdx.z;
  if (threadIdx.x == 0) {
    draw = draw_image(a.attrs, a.params[replica], sample);
    if (blockIdx.y == 0) a.labels.at(replica)[sample] = __ldg(a.attrs.table.labels + draw.image);
  }
  __syncthreads();
  const int side = a.attrs.table.side, crop = a.attrs.crop;
  const auto pixels = static_cast<unsigned>(crop * crop);
  const std::uint8_t* const from = a.attrs.table.pixels + Index{3} * draw.image * side * side;
  std::uint8_t* const to = a.images.at(replica) + sample * pixels * 3;
  for (unsigned i = threadIdx.x; i < kPixelsPerBlock; i += kThreads) {
    const unsigned pixel = blockIdx.y * kPixelsPerBlock + i;
    if (pixel >= pixels) break;
    draw.write(from, static_cast<int>(pixel) / crop, static_cast<int>(pixel) % crop, crop, side, to + Index{3} * pixel);
  }
}

}  // namespace

void record_image_batch_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<ImageBatchAttrs>();
  const Arguments arguments{attrs, strided<std::uint8_t>(node.out[0]), strided<std::int32_t>(node.out[1]),
                            recorder.params()};
  const dim3 grid(static_cast<unsigned>(attrs.batch), blocks_for(Index{attrs.crop} * attrs.crop, kPixelsPerBlock),
                  static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1,
                  [=](const TaskContext&) { launch(image_batch_kernel, grid, dim3(kThreads), 0, stream, arguments); });
}

}  // namespace gridstep
