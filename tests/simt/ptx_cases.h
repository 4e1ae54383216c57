// Matrix instructions and asynchronous copies against plain loops: the same cases for the harness (test_ptx.cpp) and
// for a GPU (tests/cuda/ptx). Each check returns what is wrong, or nothing. Fragment layouts: PTX ISA, "Matrix
// Fragments for mma.m16n8k16 with floating point type", "Matrix Fragments for mma.m16n8k32", "ldmatrix".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/device/cuda/cuda_compat.h"
#include "engine/device/cuda/ptx.cuh"

namespace gridstep::ptx_cases {

#if defined(__CUDACC__)
// Memory that host and device share.
template <class T>
struct Allocator {
  using value_type = T;
  T* allocate(std::size_t n) {
    void* p = nullptr;
    GS_CUDA(cudaMallocManaged(&p, n * sizeof(T)));
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t) noexcept { cudaFree(p); }
  bool operator==(const Allocator&) const = default;
};
inline void synchronize() { GS_CUDA(cudaDeviceSynchronize()); }
#else
template <class T>
using Allocator = std::allocator<T>;
inline void synchronize() {}
#endif

template <class T>
using Memory = std::vector<T, Allocator<T>>;

// One block, to its end.
template <class... P, class... A>
void run(void (*kernel)(P...), unsigned threads, std::size_t shared_bytes, A... arguments) {
  launch(kernel, dim3(1), dim3(threads), shared_bytes, nullptr, arguments...);
  synchronize();
}

// Empty when equal; else where they first differ.
template <class Got, class Want>
std::string difference(const std::string& what, const Got& got, const Want& want) {
  if (got.size() != want.size()) return what + ": sizes differ";
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!(got[i] == want[i])) {
      return what + ": element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", wanted " +
             std::to_string(want[i]);
    }
  }
  return "";
}

// A tile in row-major order, any element type.
template <class T>
struct Tile {
  Tile(int rows, int width) : columns(width), values(static_cast<std::size_t>(rows * width)) {}
  T& at(int row, int column) { return values[static_cast<std::size_t>(row * columns + column)]; }
  int columns;
  std::vector<T> values;
};

// The elements of a register, `first` lowest.
inline unsigned pack(std::initializer_list<unsigned> elements) {
  const unsigned bits = 32 / static_cast<unsigned>(elements.size());
  unsigned reg = 0, shift = 0;
  for (const unsigned e : elements) {
    reg |= (bits == 32 ? e : e & ((1u << bits) - 1)) << shift;
    shift += bits;
  }
  return reg;
}

struct Fragments {
  unsigned a[32][4], b[32][2];
};

// groupID = lane / 4, threadID_in_group = lane % 4, as the manual names them.
// k16: a_i at row groupID (i in {0,1,4,5}) or groupID + 8, column 2 * threadID + (i & 1) (+ 8 from i = 4 on);
//      b_i at row 2 * threadID + (i & 1) (+ 8 from i = 2 on), column groupID.
inline Fragments fragments_k16(Tile<std::uint16_t>& a, Tile<std::uint16_t>& b) {
  Fragments f;
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4, thread = lane % 4;
    std::uint16_t ai[8], bi[4];
    for (int i = 0; i < 8; ++i) {
      const bool upper = i == 0 || i == 1 || i == 4 || i == 5;
      ai[i] = a.at(upper ? group : group + 8, thread * 2 + (i & 1) + (i >= 4 ? 8 : 0));
    }
    for (int i = 0; i < 4; ++i) bi[i] = b.at(thread * 2 + (i & 1) + (i >= 2 ? 8 : 0), group);
    for (int r = 0; r < 4; ++r) f.a[lane][r] = pack({ai[2 * r], ai[2 * r + 1]});
    for (int r = 0; r < 2; ++r) f.b[lane][r] = pack({bi[2 * r], bi[2 * r + 1]});
  }
  return f;
}

// k32: a_i at row groupID (0 <= i < 4, 8 <= i < 12) or groupID + 8, column 4 * threadID + (i & 3) (+ 16 from i = 8 on);
//      b_i at row 4 * threadID + (i & 3) (+ 16 from i = 4 on), column groupID.
inline Fragments fragments_k32(Tile<std::uint8_t>& a, Tile<std::uint8_t>& b) {
  Fragments f;
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4, thread = lane % 4;
    std::uint8_t ai[16], bi[8];
    for (int i = 0; i < 16; ++i) {
      const bool upper = i < 4 || (i >= 8 && i < 12);
      ai[i] = a.at(upper ? group : group + 8, thread * 4 + (i & 3) + (i >= 8 ? 16 : 0));
    }
    for (int i = 0; i < 8; ++i) bi[i] = b.at(thread * 4 + (i & 3) + (i >= 4 ? 16 : 0), group);
    for (int r = 0; r < 4; ++r) f.a[lane][r] = pack({ai[4 * r], ai[4 * r + 1], ai[4 * r + 2], ai[4 * r + 3]});
    for (int r = 0; r < 2; ++r) f.b[lane][r] = pack({bi[4 * r], bi[4 * r + 1], bi[4 * r + 2], bi[4 * r + 3]});
  }
  return f;
}

// c_i at row groupID (i < 2) or groupID + 8, column 2 * threadID + (i & 1).
template <class T>
Tile<T> product_of(const Memory<T>& d) {
  Tile<T> tile(16, 8);
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      tile.at(lane / 4 + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)) = d[static_cast<std::size_t>(lane * 4 + i)];
    }
  }
  return tile;
}

enum class Kind { kBf16, kS8, kU8S8 };

template <Kind K, class D>
__global__ void mma_kernel(const Fragments* f, D* d) {
  D sum[4];
  unsigned a[4], b[2];
  for (int i = 0; i < 4; ++i) sum[i] = d[threadIdx.x * 4 + static_cast<unsigned>(i)];
  for (int i = 0; i < 4; ++i) a[i] = f->a[threadIdx.x][i];
  for (int i = 0; i < 2; ++i) b[i] = f->b[threadIdx.x][i];
  if constexpr (K == Kind::kBf16) ptx::mma_m16n8k16_bf16(sum, a, b);
  if constexpr (K == Kind::kS8) ptx::mma_m16n8k32_s8(sum, a, b);
  if constexpr (K == Kind::kU8S8) ptx::mma_m16n8k32_u8s8(sum, a, b);
  for (int i = 0; i < 4; ++i) d[threadIdx.x * 4 + static_cast<unsigned>(i)] = sum[i];
}

inline float bf16_value(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
inline std::uint16_t bf16_bits(float value) {  // of values that bf16 holds exactly
  std::uint32_t wide;
  std::memcpy(&wide, &value, sizeof wide);
  return static_cast<std::uint16_t>(wide >> 16);
}

template <int N, bool Trans>
__global__ void ldmatrix_kernel(const std::uint16_t* in, unsigned* out) {
  DYN_SHARED(std::uint16_t, rows);
  for (unsigned i = threadIdx.x; i < 256; i += 32) rows[i] = in[i];
  __syncwarp();
  unsigned r[N];
  const std::uint16_t* const row = rows + threadIdx.x * 8;
  if constexpr (N == 1 && !Trans) ptx::ldmatrix_x1(r, row);
  if constexpr (N == 2 && !Trans) ptx::ldmatrix_x2(r, row);
  if constexpr (N == 4 && !Trans) ptx::ldmatrix_x4(r, row);
  if constexpr (N == 1 && Trans) ptx::ldmatrix_x1_trans(r, row);
  if constexpr (N == 2 && Trans) ptx::ldmatrix_x2_trans(r, row);
  if constexpr (N == 4 && Trans) ptx::ldmatrix_x4_trans(r, row);
  for (int m = 0; m < N; ++m) out[static_cast<unsigned>(m) * 32 + threadIdx.x] = r[m];
}

template <int Size>
__device__ void copy_async(void* to, const void* from, int bytes) {
  if constexpr (Size == 16) ptx::cp_async16(to, from, bytes);
  if constexpr (Size == 8) ptx::cp_async8(to, from, bytes);
  if constexpr (Size == 4) ptx::cp_async4(to, from, bytes);
}

// Two groups; what the first brought is looked at while the second may be under way.
template <int Size>
__global__ void copy_kernel(const unsigned char* in, unsigned char* out, int bytes) {
  DYN_SHARED(unsigned char, stage);
  const unsigned first = threadIdx.x * Size, second = (32 + threadIdx.x) * Size;
  copy_async<Size>(stage + first, in + first, bytes);
  ptx::cp_async_commit();
  copy_async<Size>(stage + second, in + second, Size);
  ptx::cp_async_commit();
  ptx::cp_async_wait<1>();
  for (unsigned i = 0; i < Size; ++i) out[first + i] = stage[first + i];
  ptx::cp_async_wait<0>();
  for (unsigned i = 0; i < Size; ++i) out[second + i] = stage[second + i];
}

inline std::string check_mma_bf16() {
  std::mt19937 random(3);
  Tile<std::uint16_t> a(16, 16), b(16, 8);
  for (auto* tile : {&a, &b}) {  // integers: every order of the sum is exact
    for (std::uint16_t& v : tile->values) v = bf16_bits(static_cast<float>(static_cast<int>(random() % 255) - 127));
  }
  const Memory<Fragments> f{fragments_k16(a, b)};
  Memory<float> d(128);
  for (float& v : d) v = static_cast<float>(random() % 1000);
  Tile<float> want = product_of(d);
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      for (int k = 0; k < 16; ++k) want.at(r, c) += bf16_value(a.at(r, k)) * bf16_value(b.at(k, c));
    }
  }
  run(mma_kernel<Kind::kBf16, float>, 32, 0, f.data(), d.data());
  return difference("mma of bf16", product_of(d).values, want.values);
}

template <Kind K>
std::string check_mma_bytes() {
  std::mt19937 random(5);
  Tile<std::uint8_t> a(16, 32), b(32, 8);
  for (auto* tile : {&a, &b}) {
    for (std::uint8_t& v : tile->values) v = static_cast<std::uint8_t>(random() >> 24);
  }
  const Memory<Fragments> f{fragments_k32(a, b)};
  Memory<int> d(128);
  for (int& v : d) v = static_cast<int>(random() % 100000) - 50000;
  Tile<int> want = product_of(d);
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      for (int k = 0; k < 32; ++k) {
        const int x = K == Kind::kU8S8 ? a.at(r, k) : static_cast<std::int8_t>(a.at(r, k));
        want.at(r, c) += x * static_cast<std::int8_t>(b.at(k, c));
      }
    }
  }
  run(mma_kernel<K, int>, 32, 0, f.data(), d.data());
  return difference(K == Kind::kU8S8 ? "mma of u8 and s8" : "mma of s8", product_of(d).values, want.values);
}
inline std::string check_mma_bytes() { return check_mma_bytes<Kind::kS8>() + check_mma_bytes<Kind::kU8S8>(); }

template <int N, bool Trans>
std::string check_ldmatrix_of() {
  Memory<std::uint16_t> in(256);  // element (row, column) of matrix m at 64 m + 8 row + column
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint16_t>(i * 257);
  Memory<unsigned> out(32 * N);
  run(ldmatrix_kernel<N, Trans>, 32, 512, static_cast<const std::uint16_t*>(in.data()), out.data());
  std::vector<unsigned> want;
  for (std::size_t m = 0; m < N; ++m) {
    for (std::size_t lane = 0; lane < 32; ++lane) {
      want.push_back(0);
      for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t along = lane % 4 * 2 + i, across = lane / 4;
        const std::size_t element = Trans ? along * 8 + across : across * 8 + along;
        want.back() |= static_cast<unsigned>(in[64 * m + element]) << (16 * i);
      }
    }
  }
  return difference("ldmatrix x" + std::to_string(N) + (Trans ? " transposed" : ""), out, want);
}
inline std::string check_ldmatrix() {
  return check_ldmatrix_of<1, false>() + check_ldmatrix_of<2, false>() + check_ldmatrix_of<4, false>() +
         check_ldmatrix_of<1, true>() + check_ldmatrix_of<2, true>() + check_ldmatrix_of<4, true>();
}

template <int Size>
std::string check_copies_of() {
  Memory<unsigned char> in(64 * Size);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<unsigned char>(i * 7 + 1);
  std::string wrong;
  for (int bytes = 0; bytes <= Size; ++bytes) {
    Memory<unsigned char> out(in.size(), 0xee), want = in;
    for (std::size_t i = 0; i < in.size() / 2; ++i) {
      if (static_cast<int>(i % Size) >= bytes) want[i] = 0;
    }
    run(copy_kernel<Size>, 32, 64 * Size, static_cast<const unsigned char*>(in.data()), out.data(), bytes);
    wrong += difference("cp.async of " + std::to_string(bytes) + " of " + std::to_string(Size) + " bytes", out, want);
  }
  return wrong;
}
inline std::string check_copies() { return check_copies_of<4>() + check_copies_of<8>() + check_copies_of<16>(); }

}  // namespace gridstep::ptx_cases
