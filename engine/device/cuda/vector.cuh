// Tensors as kernels see them, and accesses of four elements at a time (16 bytes of floats).
#pragma once

#include <cstdint>

#include "engine/device/cuda/cuda_compat.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

// One block of T per replica.
template <class T>
struct Strided {
  T* data;
  Index stride;  // bytes between replicas

  __device__ __forceinline__ T* at(unsigned replica) const {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return reinterpret_cast<T*>(reinterpret_cast<Byte*>(data) + stride * static_cast<Index>(replica));
  }
};

template <class T>
Strided<T> strided(const Tensor& tensor) {
  return {tensor.at<T>(0), tensor.replica_stride};
}

template <class T>
struct alignas(4 * sizeof(T)) Pack4 {
  T v[4];
};

template <class T>
__device__ __forceinline__ Pack4<std::remove_const_t<T>> load4(const T* p, Index pack) {
  return reinterpret_cast<const Pack4<std::remove_const_t<T>>*>(p)[pack];
}

template <class T>
__device__ __forceinline__ void store4(T* p, Index pack, const Pack4<T>& values) {
  reinterpret_cast<Pack4<T>*>(p)[pack] = values;
}

// Elements first .. first + 3 of n, zero beyond the end: in one access where `packs` says that p + first is aligned.
template <class T>
__device__ __forceinline__ Pack4<std::remove_const_t<T>> load_up_to4(const T* p, Index first, Index n, bool packs) {
  if (packs && first + 4 <= n) return load4(p + first, 0);
  Pack4<std::remove_const_t<T>> values{};
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (first + l < n) values.v[l] = p[first + l];
  }
  return values;
}

template <class T>
__device__ __forceinline__ void store_up_to4(T* p, Index first, Index n, bool packs, const Pack4<T>& values) {
  if (packs && first + 4 <= n) {
    store4(p + first, 0, values);
    return;
  }
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (first + l < n) p[first + l] = values.v[l];
  }
}

// Whether every replica's block may be read and written in packs: gradients of parameters begin anywhere in their
// store.
template <class T>
bool packs_are_aligned(const Strided<T>& tensor) {
  constexpr auto kPack = static_cast<std::uintptr_t>(4 * sizeof(T));
  return reinterpret_cast<std::uintptr_t>(tensor.data) % kPack == 0 &&
         static_cast<std::uintptr_t>(tensor.stride) % kPack == 0;
}

constexpr unsigned blocks_for(Index items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace gridstep
