// What the emulated cuDNN and cuBLAS ask of the runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace simt {

// Whether all bytes belong to one allocation of GPU memory.
bool on_gpu(const void* p, std::size_t size);

// GPU memory of a library's own, as long as its handle lives. Null where it cannot be had: no room, or a capture.
class LibraryMemory {
 public:
  explicit LibraryMemory(std::size_t size) {
    if (cudaMalloc(&p_, size) != cudaSuccess) p_ = nullptr;
  }
  ~LibraryMemory() { (void)cudaFree(p_); }
  LibraryMemory(const LibraryMemory&) = delete;
  LibraryMemory& operator=(const LibraryMemory&) = delete;
  bool have() const { return p_ != nullptr; }

 private:
  void* p_ = nullptr;
};

}  // namespace simt
