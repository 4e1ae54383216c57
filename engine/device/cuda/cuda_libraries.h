// cuDNN and cuBLAS handles of a CUDA device, bound to its stream, and their errors as exceptions. Host sources of the
// plug-in only.
#pragma once

#include <cublas_v2.h>
#include <cudnn.h>

#include "engine/device/device.h"

namespace gridstep {

// They live as long as the device. cuBLAS is set to pedantic float32 (no TF32) and has its own
// workspace, so that results are the same in every run and under stream capture.
cudnnHandle_t cudnn_handle(Device& device);
cublasHandle_t cublas_handle(Device& device);

[[noreturn]] void throw_cudnn_error(cudnnStatus_t status, const char* call, const char* file, int line);
[[noreturn]] void throw_cublas_error(cublasStatus_t status, const char* call, const char* file, int line);

}  // namespace gridstep

// Throw DeviceError unless the call succeeds.
#define GS_CUDNN(...)                                                                                \
  do {                                                                                               \
    if (const cudnnStatus_t status_ = (__VA_ARGS__); status_ != CUDNN_STATUS_SUCCESS) [[unlikely]] { \
      ::gridstep::throw_cudnn_error(status_, #__VA_ARGS__, __FILE__, __LINE__);                      \
    }                                                                                                \
  } while (false)

#define GS_CUBLAS(...)                                                                                 \
  do {                                                                                                 \
    if (const cublasStatus_t status_ = (__VA_ARGS__); status_ != CUBLAS_STATUS_SUCCESS) [[unlikely]] { \
      ::gridstep::throw_cublas_error(status_, #__VA_ARGS__, __FILE__, __LINE__);                       \
    }                                                                                                  \
  } while (false)
