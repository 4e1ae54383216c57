#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/global_avg_pool/global_avg_pool.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

// A thread per sample and channel: neighbours read neighbouring channels of each pixel.
__global__ void __launch_bounds__(kThreads)
    avg_pool_kernel(Strided<const float> x, Strided<float> y, Index means, int pixels, int channels) {
  const Index mean = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  if (mean >= means) return;
  const Index sample = mean / channels, channel = mean % channels;
  const float* const from = x.at(blockIdx.y) + sample * pixels * channels + channel;
  double sum = 0.0;
#pragma unroll 4
  for (int p = 0; p < pixels; ++p) sum += static_cast<double>(from[static_cast<Index>(p) * channels]);
  y.at(blockIdx.y)[mean] = static_cast<float>(sum / static_cast<double>(pixels));
}

// Packs of four channels where every pixel begins at one.
__global__ void __launch_bounds__(kThreads)
    avg_pool_backward_kernel(Strided<const float> dy, Strided<float> dx, float factor, Index n, Index per_sample,
                             int channels, bool packs) {
  const Index thread = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  const Index at = packs ? thread * 4 : thread;
  if (at >= n) return;
  const float* const from = dy.at(blockIdx.y) + at / per_sample * channels + at % channels;
  float* const to = dx.at(blockIdx.y) + at;
  if (packs) {
    Pack4<float> values = load4(from, 0);
#pragma unroll
    for (float& v : values.v) v = v * factor;
    store4(to, 0, values);
  } else {
    *to = *from * factor;
  }
}

}  // namespace

void record_global_avg_pool_cuda(Recorder& recorder, const BoundNode& node) {
  const auto x = strided<const float>(node.in[0]);
  const auto y = strided<float>(node.out[0]);
  const Shape& shape = node.in[0].shape;
  const Index means = shape[0] * shape[3];
  const auto pixels = static_cast<int>(shape[1] * shape[2]), channels = static_cast<int>(shape[3]);
  const dim3 grid(blocks_for(means, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(avg_pool_kernel, grid, dim3(kThreads), 0, stream, x, y, means, pixels, channels);
  });
}

void record_global_avg_pool_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const auto dy = strided<const float>(node.in[0]);
  const auto dx = strided<float>(node.out[0]);
  const Shape& shape = node.out[0].shape;
  const Index n = shape.elements(), per_sample = n / shape[0];
  const auto channels = static_cast<int>(shape[3]);
  const float factor = 1.0f / static_cast<float>(shape[1] * shape[2]);
  const bool packs = channels % 4 == 0 && packs_are_aligned(dy) && packs_are_aligned(dx);
  const dim3 grid(blocks_for(packs ? n / 4 : n, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(avg_pool_backward_kernel, grid, dim3(kThreads), 0, stream, dy, dx, factor, n, per_sample, channels, packs);
  });
}

}  // namespace gridstep
