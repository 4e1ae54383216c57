#include "engine/device/cuda/cuda_error.h"

#include "engine/base/error.h"

namespace gridstep {

void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line) {
  (void)cudaGetLastError();
  fail<DeviceError>("CUDA error {} ({}): {}; in {} at {}:{}", static_cast<int>(error), cudaGetErrorName(error),
                    cudaGetErrorString(error), call, file, line);
}

}  // namespace gridstep
