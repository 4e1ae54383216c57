#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/pixel_shuffle/pixel_shuffle.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

// Everything fits 32 bits: inference refuses tensors of 2^31 elements.
struct ShuffleGeometry {
  unsigned height, width, upscale, channels;  // of the small image; channels of the large one

  __device__ __forceinline__ unsigned deep(unsigned line, unsigned w, unsigned c, unsigned i, unsigned j) const {
    return ((line * width + w) * channels + c) * upscale * upscale + i * upscale + j;
  }
  // `line` counts the rows of all samples' small images.
  __device__ __forceinline__ unsigned wide(unsigned line, unsigned w, unsigned c, unsigned i, unsigned j) const {
    return (((line * upscale + i) * width + w) * upscale + j) * channels + c;
  }
  // Place in the small tensor of what goes to place `at` of the large one.
  __device__ __forceinline__ unsigned source_of_wide(unsigned at) const {
    const unsigned c = at % channels, j = at / channels % upscale, w = at / (channels * upscale) % width;
    const unsigned row = at / (channels * upscale * width);
    return deep(row / upscale, w, c, row % upscale, j);
  }
  // Place in the large tensor of what goes to place `at` of the small one.
  __device__ __forceinline__ unsigned source_of_deep(unsigned at) const {
    const unsigned j = at % upscale, i = at / upscale % upscale, c = at / (upscale * upscale) % channels;
    const unsigned pixel = at / (upscale * upscale * channels);
    return wide(pixel / width, pixel % width, c, i, j);
  }
};

// Gathers, so that stores are whole 16-byte packs; the reads of a block lie in a few rows and meet in its L1 cache.
template <bool Backward>
__global__ void __launch_bounds__(kThreads) pixel_shuffle_kernel(Strided<const float> from, Strided<float> to,
                                                                 ShuffleGeometry geometry, unsigned packs, unsigned n) {
  const unsigned thread = blockIdx.x * kThreads + threadIdx.x;
  const float* const source = from.at(blockIdx.y);
  float* const target = to.at(blockIdx.y);
  const auto moved = [&](unsigned at) {
    return __ldg(source + (Backward ? geometry.source_of_deep(at) : geometry.source_of_wide(at)));
  };
  if (thread < packs) {
    Pack4<float> values;
#pragma unroll
    for (unsigned l = 0; l < 4; ++l) values.v[l] = moved(thread * 4 + l);
    store4(target, thread, values);
  } else if (const unsigned at = packs * 4 + (thread - packs); at < n) {
    target[at] = moved(at);
  }
}

template <bool Backward>
void record(Recorder& recorder, const BoundNode& node) {
  const auto from = strided<const float>(node.in[0]);
  const auto to = strided<float>(node.out[0]);
  const Shape& deep = Backward ? node.out[0].shape : node.in[0].shape;
  const auto r = static_cast<unsigned>(node.attrs<PixelShuffleAttrs>().upscale);
  const ShuffleGeometry geometry{static_cast<unsigned>(deep[1]), static_cast<unsigned>(deep[2]), r,
                                 static_cast<unsigned>(deep[3]) / (r * r)};
  const auto n = static_cast<unsigned>(deep.elements());
  const unsigned packs = packs_are_aligned(to) ? n / 4 : 0;
  const dim3 grid(blocks_for(packs + (n - packs * 4), kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(pixel_shuffle_kernel<Backward>, grid, dim3(kThreads), 0, stream, from, to, geometry, packs, n);
  });
}

}  // namespace

void record_pixel_shuffle_cuda(Recorder& recorder, const BoundNode& node) { record<false>(recorder, node); }

void record_pixel_shuffle_backward_cuda(Recorder& recorder, const BoundNode& node) { record<true>(recorder, node); }

}  // namespace gridstep
