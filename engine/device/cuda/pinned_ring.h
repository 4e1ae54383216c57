// Page-locked memory through which small uploads pass without waiting for the GPU: step parameters, once per step.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstring>

#include "engine/device/cuda/cuda_error.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

// Places are taken in turn. When the end is reached the stream is waited for: then every copy from the ring has been
// made.
class PinnedRing {
 public:
  static constexpr Bytes kSize = Bytes{1} << 20;
  static constexpr Bytes kLargestPiece = kSize / 8;

  explicit PinnedRing(cudaStream_t stream) : stream_(stream) {
    GS_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&memory_), static_cast<std::size_t>(kSize), cudaHostAllocDefault));
  }
  ~PinnedRing() { (void)cudaFreeHost(memory_); }
  PinnedRing(const PinnedRing&) = delete;
  PinnedRing& operator=(const PinnedRing&) = delete;

  // Enqueues a copy of `size` bytes, at most kLargestPiece. `from` may be reused at once.
  void upload(std::byte* to, const void* from, Bytes size) {
    if (next_ + size > kSize) {
      GS_CUDA(cudaStreamSynchronize(stream_));
      next_ = 0;
    }
    std::byte* const place = memory_ + next_;
    std::memcpy(place, from, static_cast<std::size_t>(size));
    GS_CUDA(cudaMemcpyAsync(to, place, static_cast<std::size_t>(size), cudaMemcpyHostToDevice, stream_));
    next_ += align_up(size);
  }

 private:
  cudaStream_t stream_;
  std::byte* memory_ = nullptr;
  Bytes next_ = 0;
};

}  // namespace gridstep
