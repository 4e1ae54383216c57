// The only place where kernels are launched. Included by cuda_compat.h.
//   launch(kernel, grid, block, shared_bytes, stream, arguments...);
// Arguments are converted to the kernel's parameter types. A refused launch throws DeviceError; the device adds the
// node's name.
#pragma once

#include <cstddef>
#include <utility>

#if defined(__CUDACC__)
#include "engine/device/cuda/cuda_error.h"
#endif

namespace gridstep {

#if defined(__CUDACC__)

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "number of kernel arguments");
  constexpr std::size_t kWithoutOptIn = 48 * 1024;
  if (shared_bytes > kWithoutOptIn) {
    GS_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes)));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  GS_CUDA(cudaLaunchKernelEx(&config, kernel, static_cast<P>(std::forward<A>(arguments))...));
}

#else

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            A&&... arguments) {
  ::simt::launch_on(stream, kernel, grid, block, shared_bytes, std::forward<A>(arguments)...);
}

#endif

}  // namespace gridstep
