// The one header through which sources see CUDA: .cu files never include the toolkit's headers themselves.
//   nvcc:               the toolkit
//   -DGRIDSTEP_SIMT:    the host copy of a kernel, for the SIMT harness, which runs its threads on the CPU
// Shared memory is declared by these macros only, so that the harness can give every block its own, poisoned:
//   SHARED(part, float[32]);      static: part is a float[32]
//   DYN_SHARED(float4, stage);    dynamic: stage is a float4*, 16-byte aligned
// Kernels are launched by launch() only (launch.cuh, included here).
#pragma once

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#include <type_traits>

#define SHARED(name, ...) __shared__ std::type_identity_t<__VA_ARGS__> name

#define DYN_SHARED(T, name)                                                \
  extern __shared__ __align__(16) unsigned char gridstep_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(gridstep_dynamic_shared)

#elif defined(GRIDSTEP_SIMT)

#include "simt.h"

#define SHARED(name, ...) auto& name = ::simt::rt::shared<std::type_identity_t<__VA_ARGS__>>([] {})
#define DYN_SHARED(T, name) T* const name = static_cast<T*>(::simt::rt::dynamic_shared())

#else
#error "CUDA sources are compiled by nvcc, or for the host with GRIDSTEP_SIMT"
#endif

#include "engine/device/cuda/launch.cuh"
