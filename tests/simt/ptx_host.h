// The harness's half of engine/device/cuda/ptx.cuh, which says what each function does.
#pragma once

#include "simt.h"

namespace simt::rt {

// What a lane brings to a matrix instruction, and takes away.
struct MmaLane {
  void* d;
  const unsigned* a;
  const unsigned* b;
};
struct LdmatrixLane {
  unsigned char row[16];
  unsigned r[4];
};

void mma_bf16(void* const* lanes);
void mma_s8(void* const* lanes);
void mma_u8s8(void* const* lanes);
void ldmatrix(void* const* lanes);
void ldmatrix_trans(void* const* lanes);

template <class D>
void mma(const char* name, Exchange exchange, D (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Site site) {
  MmaLane lane{d, a, b};
  warp_collective(name, exchange, &lane, site);
}

// Lanes 0 .. 8 * N - 1 bring the rows. The row is read here, where a sanitizer sees the kernel's thread read it.
template <int N>
void load_matrices(const char* name, Exchange exchange, unsigned (&r)[N], const void* row, Site site) {
  LdmatrixLane lane{};
  if (lane_index() < 8 * N) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) fail(std::string(name) + ": misaligned address", site);
    std::memcpy(lane.row, row, sizeof lane.row);
  }
  warp_collective(name, exchange, &lane, site);
  std::memcpy(r, lane.r, sizeof r);
}

}  // namespace simt::rt

namespace gridstep::ptx {

inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_SITE) {
  simt::rt::mma("mma.m16n8k16.bf16", simt::rt::mma_bf16, d, a, b, SIMT_HERE);
}
inline void mma_m16n8k32_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_SITE) {
  simt::rt::mma("mma.m16n8k32.s8", simt::rt::mma_s8, d, a, b, SIMT_HERE);
}
inline void mma_m16n8k32_u8s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_SITE) {
  simt::rt::mma("mma.m16n8k32.u8.s8", simt::rt::mma_u8s8, d, a, b, SIMT_HERE);
}

inline void ldmatrix_x1(unsigned (&r)[1], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x1", simt::rt::ldmatrix, r, row, SIMT_HERE);
}
inline void ldmatrix_x2(unsigned (&r)[2], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x2", simt::rt::ldmatrix, r, row, SIMT_HERE);
}
inline void ldmatrix_x4(unsigned (&r)[4], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x4", simt::rt::ldmatrix, r, row, SIMT_HERE);
}
inline void ldmatrix_x1_trans(unsigned (&r)[1], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x1.trans", simt::rt::ldmatrix_trans, r, row, SIMT_HERE);
}
inline void ldmatrix_x2_trans(unsigned (&r)[2], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x2.trans", simt::rt::ldmatrix_trans, r, row, SIMT_HERE);
}
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row, SIMT_SITE) {
  simt::rt::load_matrices("ldmatrix.x4.trans", simt::rt::ldmatrix_trans, r, row, SIMT_HERE);
}

inline void cp_async16(void* shared, const void* global, int bytes = 16, SIMT_SITE) {
  simt::rt::copy_async(shared, global, 16, bytes, SIMT_HERE);
}
inline void cp_async8(void* shared, const void* global, int bytes = 8, SIMT_SITE) {
  simt::rt::copy_async(shared, global, 8, bytes, SIMT_HERE);
}
inline void cp_async4(void* shared, const void* global, int bytes = 4, SIMT_SITE) {
  simt::rt::copy_async(shared, global, 4, bytes, SIMT_HERE);
}
inline void cp_async_commit() { simt::rt::commit_copies(); }
template <int N>
void cp_async_wait() {
  static_assert(N >= 0);
  simt::rt::wait_for_copies(N);
}

}  // namespace gridstep::ptx
