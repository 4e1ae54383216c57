// Errors of the CUDA runtime as exceptions.
#pragma once

#include <cuda_runtime.h>

namespace gridstep {

// Throws DeviceError with the runtime's name and words for the error, the call and the place. Clears an error that is
// not sticky.
[[noreturn]] void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line);

}  // namespace gridstep

#define GS_CUDA(...)                                                                    \
  do {                                                                                  \
    if (const cudaError_t error_ = (__VA_ARGS__); error_ != cudaSuccess) [[unlikely]] { \
      ::gridstep::throw_cuda_error(error_, #__VA_ARGS__, __FILE__, __LINE__);           \
    }                                                                                   \
  } while (false)
