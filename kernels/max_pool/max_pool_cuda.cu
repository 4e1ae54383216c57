#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/max_pool/max_pool_math.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

// Sample, row, column and channel of an element of an image of `rows` x `columns` pixels.
struct Place {
  Index sample;
  int row, column, channel;
};
__device__ __forceinline__ Place place_of(Index at, int rows, int columns, int channels) {
  const auto channel = static_cast<int>(at % channels);
  const Index pixel = at / channels;
  const auto column = static_cast<int>(pixel % columns);
  const Index line = pixel / columns;
  return {line / rows, static_cast<int>(line % rows), column, channel};
}

// A thread per output element: neighbours are neighbouring channels, so that the reads of a warp lie together and those
// of overlapping windows meet in the cache.
__global__ void __launch_bounds__(kThreads)
    max_pool_kernel(Strided<const float> x, Strided<float> y, Strided<std::uint8_t> place, PoolGeometry g, Index n) {
  const Index at = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  if (at >= n) return;
  const Place o = place_of(at, g.rows, g.columns, g.channels);
  const Index image = static_cast<Index>(g.height) * g.width * g.channels;
  const Pooled best = pool_window(g, x.at(blockIdx.y) + o.sample * image + o.channel, o.row, o.column);
  y.at(blockIdx.y)[at] = best.value;
  place.at(blockIdx.y)[at] = best.place;
}

// A thread per pixel gathers from the windows that hold it: no atomics, a fixed order.
__global__ void __launch_bounds__(kThreads)
    max_pool_backward_kernel(Strided<const float> dy, Strided<const std::uint8_t> place, Strided<float> dx,
                             PoolGeometry g, Index n) {
  const Index at = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  if (at >= n) return;
  const Place i = place_of(at, g.height, g.width, g.channels);
  const Index first = i.sample * g.rows * g.columns * g.channels + i.channel;
  dx.at(blockIdx.y)[at] = pool_gradient(g, dy.at(blockIdx.y) + first, place.at(blockIdx.y) + first, i.row, i.column);
}

}  // namespace

void record_max_pool_cuda(Recorder& recorder, const BoundNode& node) {
  const auto x = strided<const float>(node.in[0]);
  const auto y = strided<float>(node.out[0]);
  const auto place = strided<std::uint8_t>(node.out[1]);
  const PoolGeometry g = pool_geometry(node.attrs<MaxPoolAttrs>(), node.in[0].shape, node.out[0].shape);
  const Index n = node.out[0].elements();
  const dim3 grid(blocks_for(n, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch(
      "", 1, [=](const TaskContext&) { launch(max_pool_kernel, grid, dim3(kThreads), 0, stream, x, y, place, g, n); });
}

void record_max_pool_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const auto dy = strided<const float>(node.in[0]);
  const auto place = strided<const std::uint8_t>(node.in[1]);
  const auto dx = strided<float>(node.out[0]);
  const PoolGeometry g = pool_geometry(node.attrs<MaxPoolAttrs>(), node.out[0].shape, node.in[0].shape);
  const Index n = node.out[0].elements();
  const dim3 grid(blocks_for(n, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(max_pool_backward_kernel, grid, dim3(kThreads), 0, stream, dy, place, dx, g, n);
  });
}

}  // namespace gridstep
