// Thin wrappers round the PTX that kernels use; no other file contains asm. For the SIMT harness the same functions are
// made of warp shuffles.
#pragma once

#include <cstdint>

#include "engine/device/cuda/cuda_compat.h"

namespace gridstep::ptx {

#if defined(__CUDACC__)

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// d += A (16x16, rows) * B (16x8, columns): bf16 in, float32 sums.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// d += A (16x32, rows) * B (32x8, columns): bytes in, int32 sums.
__device__ __forceinline__ void mma_m16n8k32_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma_m16n8k32_u8s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8x8 matrices of 16-bit elements: lane l names row l % 8 of matrix l / 8.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// Copies the first `bytes` of 16 and fills the rest with zero, asynchronously.
__device__ __forceinline__ void cp_async16(void* to, const void* from, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of the thread's groups are under way.
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#else

namespace detail {

inline unsigned this_lane() { return threadIdx.x % 32; }

// Sum over k of A[row][k] * B[k][column] for the four elements of this lane; element(word, i) decodes.
template <int kPerWord, class Sum, class A, class B>
void multiply(Sum (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], A decode_a, B decode_b) {
  const unsigned group = this_lane() / 4, quad = this_lane() % 4;
  unsigned rows[4][4], columns[2][2][4];  // [register][lane of the quad]
  for (unsigned t = 0; t < 4; ++t) {
    for (int r = 0; r < 4; ++r) rows[r][t] = __shfl_sync(~0u, a[r], static_cast<int>(group * 4 + t));
    for (unsigned c = 0; c < 2; ++c) {
      for (int r = 0; r < 2; ++r) {
        columns[c][r][t] = __shfl_sync(~0u, b[r], static_cast<int>((quad * 2 + c) * 4 + t));
      }
    }
  }
  for (int e = 0; e < 4; ++e) {
    Sum sum = 0;
    for (int half = 0; half < 2; ++half) {
      for (int t = 0; t < 4; ++t) {
        for (int i = 0; i < kPerWord; ++i) {
          sum += decode_a(rows[half * 2 + e / 2][t], i) * decode_b(columns[e % 2][half][t], i);
        }
      }
    }
    d[e] += sum;
  }
}

inline int signed_byte(unsigned word, int i) { return static_cast<std::int8_t>(word >> (8 * i)); }
inline int unsigned_byte(unsigned word, int i) { return static_cast<std::uint8_t>(word >> (8 * i)); }
inline float bf16(unsigned word, int i) {
  const std::uint32_t bits = (word >> (16 * i)) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

}  // namespace detail

inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  detail::multiply<2>(d, a, b, detail::bf16, detail::bf16);
}
inline void mma_m16n8k32_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  detail::multiply<4>(d, a, b, detail::signed_byte, detail::signed_byte);
}
inline void mma_m16n8k32_u8s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  detail::multiply<4>(d, a, b, detail::unsigned_byte, detail::signed_byte);
}
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) {
  const unsigned lane = detail::this_lane();
  for (unsigned m = 0; m < 4; ++m) {
    const auto from = __shfl_sync(~0u, reinterpret_cast<std::uintptr_t>(row), static_cast<int>(m * 8 + lane / 4));
    std::memcpy(&r[m], reinterpret_cast<const char*>(from) + lane % 4 * 4, 4);
  }
}
inline void cp_async16(void* to, const void* from, int bytes = 16) {
  std::memset(to, 0, 16);
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}
inline void cp_async_commit() {}
template <int N>
void cp_async_wait() {}

#endif

}  // namespace gridstep::ptx
