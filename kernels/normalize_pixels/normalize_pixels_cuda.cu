#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/normalize_pixels/normalize_pixels.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

// Threads below `packs` handle four values each, the others the rest one by one.
__global__ void __launch_bounds__(kThreads) normalize_pixels_kernel(const Normalization norm, Index packs, Index n,
                                                                    Strided<const std::uint8_t> x, Strided<float> y) {
  const Index thread = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const unsigned replica = blockIdx.y;
  // Selected, not indexed: a place that is known only at run time would send the arguments through local memory.
  const auto value = [&](std::uint8_t code, unsigned c) {
    const float mean = c == 0 ? norm.mean[0] : (c == 1 ? norm.mean[1] : norm.mean[2]);
    const float deviation = c == 0 ? norm.deviation[0] : (c == 1 ? norm.deviation[1] : norm.deviation[2]);
    return normalized_pixel(code, mean, deviation);
  };
  if (thread < packs) {
    const Pack4<std::uint8_t> codes = load4(x.at(replica), thread);
    const auto first = static_cast<unsigned>(thread % 3);  // 4 thread mod 3
    Pack4<float> values;
#pragma unroll
    for (unsigned l = 0; l < 4; ++l) values.v[l] = value(codes.v[l], (first + l) % 3);
    store4(y.at(replica), thread, values);
    return;
  }
  const Index i = packs * 4 + (thread - packs);
  if (i < n) y.at(replica)[i] = value(x.at(replica)[i], static_cast<unsigned>(i % 3));
}

}  // namespace

void record_normalize_pixels_cuda(Recorder& recorder, const BoundNode& node) {
  const auto norm = node.attrs<Normalization>();
  const auto x = strided<const std::uint8_t>(node.in[0]);
  const auto y = strided<float>(node.out[0]);
  const Index n = node.out[0].elements(), packs = packs_are_aligned(x) && packs_are_aligned(y) ? n / 4 : 0;
  const dim3 grid(blocks_for(packs + (n - packs * 4), kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(normalize_pixels_kernel, grid, dim3(kThreads), 0, stream, norm, packs, n, x, y);
  });
}

}  // namespace gridstep
