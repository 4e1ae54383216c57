#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/patch_batch/patch_batch_math.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kPixelsPerBlock = 4 * kThreads;

struct Arguments {
  PhotoTable table;
  Strided<std::uint8_t> lr, hr;
  const StepParams* params;
  int patch, scale;
  unsigned parts;  // blocks of one sample
};

// Pixel `pixel` of a patch `size` pixels wide.
__device__ __forceinline__ void copy_pixel(const PatchWalk& walk, int size, unsigned pixel, std::uint8_t* out) {
  const unsigned row = pixel / static_cast<unsigned>(size), column = pixel % static_cast<unsigned>(size);
  const std::uint8_t* const from = walk.origin + row * walk.row_stride + column * walk.column_stride;
  std::uint8_t* const to = out + Index{3} * pixel;
  const std::uint8_t r = __ldg(from), g = __ldg(from + 1), b = __ldg(from + 2);
  to[0] = r;
  to[1] = g;
  to[2] = b;
}

// Blocks (part of the patch within sample, replica): only the first axis has room for every batch. The pixels of the HR
// patch come first, those of the LR patch after them.
__global__ void __launch_bounds__(kThreads) patch_batch_kernel(const __grid_constant__ Arguments a) {
  SHARED(draw, PatchDraw);
  const Index sample = blockIdx.x / a.parts;
  const unsigned part = blockIdx.x % a.parts, replica = blockIdx.y;
  if (threadIdx.x == 0) draw = draw_patch(a.table, a.params[replica], sample, a.patch);
  __syncthreads();
  const int large = a.patch * a.scale;
  const auto hr_pixels = static_cast<unsigned>(large * large), lr_pixels = static_cast<unsigned>(a.patch * a.patch);
  const PatchWalk lr = draw.walk(a.table.pixels, draw.photo.lr_offset, 1, a.patch);
  const PatchWalk hr = draw.walk(a.table.pixels, draw.photo.hr_offset, a.scale, large);
  for (unsigned i = threadIdx.x; i < kPixelsPerBlock; i += kThreads) {
    const unsigned pixel = part * kPixelsPerBlock + i;
    if (pixel < hr_pixels) {
      copy_pixel(hr, large, pixel, a.hr.at(replica) + sample * hr_pixels * 3);
    } else if (pixel < hr_pixels + lr_pixels) {
      copy_pixel(lr, a.patch, pixel - hr_pixels, a.lr.at(replica) + sample * lr_pixels * 3);
    }
  }
}

}  // namespace

void record_patch_batch_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<PatchBatchAttrs>();
  const Index pixels = Index{attrs.patch} * attrs.patch * (Index{attrs.scale} * attrs.scale + 1);
  const Arguments arguments{attrs.table,
                            strided<std::uint8_t>(node.out[0]),
                            strided<std::uint8_t>(node.out[1]),
                            recorder.params(),
                            attrs.patch,
                            attrs.scale,
                            blocks_for(pixels, kPixelsPerBlock)};
  const dim3 grid(arguments.parts * static_cast<unsigned>(attrs.batch), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1,
                  [=](const TaskContext&) { launch(patch_batch_kernel, grid, dim3(kThreads), 0, stream, arguments); });
}

}  // namespace gridstep
