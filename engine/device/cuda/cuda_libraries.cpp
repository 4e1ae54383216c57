#include "engine/device/cuda/cuda_libraries.h"

#include "engine/base/error.h"

namespace gridstep {

void throw_cudnn_error(cudnnStatus_t status, const char* call, const char* file, int line) {
  char detail[512] = {};
  cudnnGetLastErrorString(detail, sizeof detail);
  fail<DeviceError>("cuDNN error {} ({}): {}; in {} at {}:{}", static_cast<int>(status), cudnnGetErrorString(status),
                    detail, call, file, line);
}

void throw_cublas_error(cublasStatus_t status, const char* call, const char* file, int line) {
  fail<DeviceError>("cuBLAS error {} ({}); in {} at {}:{}", static_cast<int>(status), cublasGetStatusString(status),
                    call, file, line);
}

}  // namespace gridstep
