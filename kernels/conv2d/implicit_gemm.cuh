// Parts of the implicit matrix product: tiles, operands on their way to shared memory, and the two ways to multiply.
#pragma once

#include <cstdint>

#include "engine/device/cuda/ptx.cuh"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/divider.h"
#include "kernels/conv2d/stage_pipeline.cuh"

namespace gridstep {

// The geometry as the kernel counts: everything but offsets in memory fits an int. Operands are bytes, and so are
// channels and terms: codes; or, in the gradients (bf16_gradients.h), halves of bf16 numbers.
struct GemmProblem {
  Strided<const std::uint8_t> x, w;
  int height, width, channels, filter_width, stride, pad_y, pad_x;
  int pixels, filters, depth;  // rows, columns and terms of the matrix product
  Divider by_image, by_row;    // output pixels of an image, of a row
  Divider by_channels, by_filter_width;
  int image_pixels, row_pixels;
  int column_tiles;
};

// Output pixels x filters of a block, the warps that share them, and what lies in shared memory.
template <int M, int N, int kWarpRows, int kWarpColumns>
struct GemmTileShape {
  static constexpr int kM = M, kN = N;
  static constexpr int kThreads = 32 * kWarpRows * kWarpColumns;
  static constexpr int kRowsPerWarp = M / kWarpRows, kColumnsPerWarp = N / kWarpColumns;
  static constexpr int kFragmentRows = kRowsPerWarp / 16, kFragmentColumns = kColumnsPerWarp / 8;
  static constexpr int kDepth = 64;  // terms, that is bytes of a row, per stage
  static constexpr int kChunks = kDepth / 16;
  static constexpr int kStages = 4;
  static constexpr int kStageBytes = (M + N) * kDepth;
  // Sums pass through shared memory on their way out. 8 floats more per row: the 8-byte writes of a warp, four rows of
  // eight floats at a time, then fall into different banks.
  static constexpr int kSumStride = N + 8;
  static constexpr int kSumBytes = M * kSumStride * 4;
  static constexpr int kSharedBytes = kStages * kStageBytes > kSumBytes ? kStages* kStageBytes : kSumBytes;
  static_assert(M % (kThreads / kChunks) == 0 && N % (kThreads / kChunks) == 0, "every thread copies as many rows");
  static_assert(kRowsPerWarp % 16 == 0 && kColumnsPerWarp % 16 == 0, "whole fragments");
};

// Where 16 bytes of a row lie within an operand's stage. Two rows span all banks; rotating the chunks every two rows
// spreads the eight rows that ldmatrix reads at once over them.
template <class T>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * T::kDepth + (chunk ^ row / 2 % T::kChunks) * 16;
}

// ---- operands to shared memory

// A term's place in the filter.
struct Tap {
  int r, s, c;
};

__device__ __forceinline__ Tap tap_of(const GemmProblem& g, int term) {
  const int tap = g.by_channels.divide(term);
  const int r = g.by_filter_width.divide(tap);
  return {r, tap - r * g.filter_width, term - tap * g.channels};
}

// The image's pixel under the filter's first tap, which may lie outside of the image.
struct PixelRow {
  Index origin;  // of its first channel in x
  int y, x;
};

__device__ __forceinline__ PixelRow pixel_row(const GemmProblem& g, int pixel) {
  constexpr int kOutside = -(1 << 30);  // every tap is outside of the image
  if (pixel >= g.pixels) return {0, kOutside, 0};
  const int image = g.by_image.divide(pixel);
  const int rest = pixel - image * g.image_pixels;
  const int p = g.by_row.divide(rest);
  const int y = p * g.stride - g.pad_y, x = (rest - p * g.row_pixels) * g.stride - g.pad_x;
  return {((static_cast<Index>(image) * g.height + y) * g.width + x) * g.channels, y, x};
}

__device__ __forceinline__ bool is_inside(const GemmProblem& g, const PixelRow& row, const Tap& tap) {
  return static_cast<unsigned>(row.y + tap.r) < static_cast<unsigned>(g.height) &&
         static_cast<unsigned>(row.x + tap.s) < static_cast<unsigned>(g.width);
}

__device__ __forceinline__ Index tap_offset(const GemmProblem& g, const PixelRow& row, const Tap& tap) {
  return row.origin + (static_cast<Index>(tap.r) * g.width + tap.s) * g.channels + tap.c;
}

// 16 bytes put together from single ones: byte(i) for i = 0 .. 15.
template <class F>
__device__ __forceinline__ void store_bytes(unsigned char* to, F byte) {
  Pack4<std::uint32_t> words{};
#pragma unroll
  for (int i = 0; i < 16; ++i) words.v[i / 4] |= static_cast<std::uint32_t>(byte(i)) << (8 * (i % 4));
  store4(reinterpret_cast<std::uint32_t*>(to), 0, words);
}

// Brings the block's rows of both operands to shared memory, stage by stage. A thread copies the same chunk of several
// rows. kWide: C is a multiple of 16, so that a chunk lies within one tap and one copy brings it.
template <class T, bool kWide>
class OperandLoader {
 public:
  __device__ __forceinline__ OperandLoader(const GemmProblem& g, unsigned replica, int first_pixel, int first_filter)
      : g_(g), x_(g.x.at(replica)), w_(g.w.at(replica)), first_filter_(first_filter) {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) pixels_[i] = pixel_row(g, first_pixel + row(i));
  }

  // The terms from `term` on. All threads; wide copies are still under way afterwards.
  __device__ __forceinline__ void load(unsigned char* stage, int term) const {
    const int at = term + chunk() * 16;
    const Tap tap = tap_of(g_, at);
#pragma unroll
    for (int i = 0; i < kPixels; ++i) load_pixels(stage + swizzled<T>(row(i), chunk()), pixels_[i], tap);
    unsigned char* const w_stage = stage + T::kM * T::kDepth;
#pragma unroll
    for (int i = 0; i < kFilters; ++i) {
      load_filter(w_stage + swizzled<T>(row(i), chunk()), first_filter_ + row(i), at);
    }
  }

 private:
  static constexpr int kRows = T::kThreads / T::kChunks;  // that the block copies at once
  static constexpr int kPixels = T::kM / kRows, kFilters = T::kN / kRows;

  __device__ __forceinline__ static int chunk() { return static_cast<int>(threadIdx.x) % T::kChunks; }
  __device__ __forceinline__ static int row(int i) { return static_cast<int>(threadIdx.x) / T::kChunks + i * kRows; }

  // Terms beyond the depth may bring codes of other taps: filters have zeros there.
  __device__ __forceinline__ void load_pixels(unsigned char* to, const PixelRow& row, Tap tap) const {
    if constexpr (kWide) {
      const bool inside = is_inside(g_, row, tap);
      ptx::cp_async16(to, inside ? x_ + tap_offset(g_, row, tap) : x_, inside ? 16 : 0);
    } else {
      store_bytes(to, [&](int) {
        const std::uint8_t code = is_inside(g_, row, tap) ? x_[tap_offset(g_, row, tap)] : std::uint8_t{0};
        if (++tap.c == g_.channels) {
          tap.c = 0;
          if (++tap.s == g_.filter_width) {
            tap.s = 0;
            ++tap.r;
          }
        }
        return code;
      });
    }
  }

  __device__ __forceinline__ void load_filter(unsigned char* to, int filter, int at) const {
    const Index offset = static_cast<Index>(filter) * g_.depth + at;
    if constexpr (kWide) {
      const bool inside = filter < g_.filters && at < g_.depth;
      ptx::cp_async16(to, inside ? w_ + offset : w_, inside ? 16 : 0);
    } else {
      store_bytes(to,
                  [&](int i) { return filter < g_.filters && at + i < g_.depth ? w_[offset + i] : std::uint8_t{0}; });
    }
  }

  const GemmProblem& g_;
  const std::uint8_t* x_;
  const std::uint8_t* w_;
  int first_filter_;
  PixelRow pixels_[kPixels];
};

// ---- multiplication: sums[i][j] += rows of 16 x columns of 8, over 32 terms of one byte each

template <bool kSigned>
struct Int8Multiply {
  using Sum = int;
  struct Rows {
    unsigned v[4];
  };
  __device__ __forceinline__ static void apply(Sum (&sums)[4], const Rows& a, const unsigned (&b)[2]) {
    if constexpr (kSigned) {
      ptx::mma_m16n8k32_s8(sums, a.v, b);
    } else {
      ptx::mma_m16n8k32_u8s8(sums, a.v, b);
    }
  }
  __device__ __forceinline__ static Rows rows(const unsigned (&codes)[4]) {
    return {{codes[0], codes[1], codes[2], codes[3]}};
  }
};

// Four codes as two registers of two bf16: exact, since bf16 holds integers up to 256, and so does the upper half of
// float32. 2^23 + code has the code in its lowest bits.
template <bool kSigned>
struct Bf16Codes {
  __device__ __forceinline__ static std::uint32_t value(std::uint32_t codes, int i) {
    constexpr float kBase = 8388608.0f + (kSigned ? 128.0f : 0.0f);
    const std::uint32_t code = (kSigned ? codes ^ 0x80808080u : codes) >> (8 * i) & 0xffu;
    return strict::float_to_bits(strict::bits_to_float(0x4b000000u | code) - kBase);
  }
  __device__ __forceinline__ static unsigned pair(std::uint32_t codes, int i) {
    return value(codes, i) >> 16 | (value(codes, i + 1) & 0xffff0000u);
  }
};

// The terms of a bf16 product are paired up as the bytes lie: a thread's four bytes stand for its terms 2t, 2t + 1,
// 2t + 8 and 2t + 9 in both operands, which leaves the sum what it is.
template <bool kSigned>
struct Bf16Multiply {
  using Sum = float;
  struct Rows {
    unsigned low[4], high[4];  // of the first and the last 16 bytes
  };
  __device__ __forceinline__ static Rows rows(const unsigned (&codes)[4]) {
    using X = Bf16Codes<kSigned>;
    return {{X::pair(codes[0], 0), X::pair(codes[1], 0), X::pair(codes[0], 2), X::pair(codes[1], 2)},
            {X::pair(codes[2], 0), X::pair(codes[3], 0), X::pair(codes[2], 2), X::pair(codes[3], 2)}};
  }
  __device__ __forceinline__ static void apply(Sum (&sums)[4], const Rows& a, const unsigned (&b)[2]) {
    using W = Bf16Codes<true>;
    const unsigned low[2] = {W::pair(b[0], 0), W::pair(b[0], 2)}, high[2] = {W::pair(b[1], 0), W::pair(b[1], 2)};
    ptx::mma_m16n8k16_bf16(sums, a.low, low);
    ptx::mma_m16n8k16_bf16(sums, a.high, high);
  }
};

// Operands that are bf16 already.
struct Bf16Values {
  using Sum = float;
  struct Rows {
    unsigned v[4];
  };
  __device__ __forceinline__ static Rows rows(const unsigned (&values)[4]) {
    return {{values[0], values[1], values[2], values[3]}};
  }
  __device__ __forceinline__ static void apply(Sum (&sums)[4], const Rows& a, const unsigned (&b)[2]) {
    ptx::mma_m16n8k16_bf16(sums, a.v, b);
  }
};

template <class T, class Multiply>
struct WarpSums {
  typename Multiply::Sum v[T::kFragmentRows][T::kFragmentColumns][4] = {};

  // Rows and columns of the warp within the block's tile.
  __device__ __forceinline__ static int first_row() {
    return static_cast<int>(threadIdx.x) / 32 % (T::kM / T::kRowsPerWarp) * T::kRowsPerWarp;
  }
  __device__ __forceinline__ static int first_column() {
    return static_cast<int>(threadIdx.x) / 32 / (T::kM / T::kRowsPerWarp) * T::kColumnsPerWarp;
  }

  __device__ __forceinline__ void add(const unsigned char* stage) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const unsigned char* const w_stage = stage + T::kM * T::kDepth;
#pragma unroll
    for (int chunk = 0; chunk < T::kChunks; chunk += 2) {
      typename Multiply::Rows a[T::kFragmentRows];
#pragma unroll
      for (int i = 0; i < T::kFragmentRows; ++i) {
        unsigned codes[4];
        ptx::ldmatrix_x4(codes, stage + swizzled<T>(first_row() + i * 16 + lane % 16, chunk + lane / 16));
        a[i] = Multiply::rows(codes);
      }
#pragma unroll
      for (int j = 0; j < T::kFragmentColumns; j += 2) {
        unsigned codes[4];  // of columns j: first and last 16 bytes; of columns j + 1: the same
        const int column = first_column() + j * 8 + lane % 8 + lane / 16 * 8;
        ptx::ldmatrix_x4(codes, w_stage + swizzled<T>(column, chunk + lane / 8 % 2));
        const unsigned b[2][2] = {{codes[0], codes[1]}, {codes[2], codes[3]}};
#pragma unroll
        for (int i = 0; i < T::kFragmentRows; ++i) {
          Multiply::apply(v[i][j], a[i], b[0]);
          Multiply::apply(v[i][j + 1], a[i], b[1]);
        }
      }
    }
  }

  // As floats to shared memory: the epilogue's first rounding.
  __device__ __forceinline__ void store(float* sums) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < T::kFragmentRows; ++i) {
#pragma unroll
      for (int j = 0; j < T::kFragmentColumns; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = first_row() + i * 16 + lane / 4 + half * 8, column = first_column() + j * 8 + lane % 4 * 2;
          float* const to = sums + row * T::kSumStride + column;
          *reinterpret_cast<float2*>(to) =
              make_float2(static_cast<float>(v[i][j][2 * half]), static_cast<float>(v[i][j][2 * half + 1]));
        }
      }
    }
  }
};

// Leaves the tile's sums in shared memory, T::kSumStride floats per row.
template <class T, class Multiply, bool kWide>
__device__ __forceinline__ void multiply_tile(const GemmProblem& g, int first_pixel, int first_filter,
                                              unsigned char* shared) {
  const OperandLoader<T, kWide> loader(g, blockIdx.z, first_pixel, first_filter);
  const auto stage = [&](int step) { return shared + step % T::kStages * T::kStageBytes; };
  const int steps = (g.depth + T::kDepth - 1) / T::kDepth;
  WarpSums<T, Multiply> sums;
  run_stages<T::kStages>(
      steps, [&](int step) { loader.load(stage(step), step * T::kDepth); }, [&](int step) { sums.add(stage(step)); });
  sums.store(reinterpret_cast<float*>(shared));
  __syncthreads();
}

}  // namespace gridstep
