#include "engine/device/cuda/cuda_device.h"
#include "kernels/conv2d/conv_epilogue.cuh"
#include "kernels/conv2d/implicit_gemm.cuh"
#include "kernels/conv2d/implicit_gemm.h"

namespace gridstep {
namespace {

struct GemmArguments {
  GemmProblem problem;
  EpilogueArguments outputs;
};

// The block's part of the outputs.
struct OutputTile {
  int first_pixel, first_filter;
  int rows, columns;
};

// Four neighbouring outputs per thread where memory allows, else one. Where a tile has all filters its rows follow one
// another in memory, and four outputs may belong to two pixels.
template <class T>
__device__ __forceinline__ void finish_tile(const EpilogueArguments& a, const OutputTile& tile, const float* sums) {
  const unsigned replica = blockIdx.z;
  const float step = epilogue_step(a, replica, blockIdx.x == 0 && threadIdx.x == 0);
  const bool flat = tile.columns == a.channels;
  const bool packs = a.packs && (flat || (tile.columns % 4 == 0 && a.channels % 4 == 0));
  const int width = packs ? 4 : 1, count = tile.rows * tile.columns;
  bool bad = false;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x) * width; i < count; i += T::kThreads * width) {
    int row = i / tile.columns, column = i - row * tile.columns;
    const Index first = static_cast<Index>(tile.first_pixel + row) * a.channels + tile.first_filter + column;
    const int n = count - i < width ? count - i : width;
    Pack4<float> values{};
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      if (l < n) values.v[l] = finish_sum(a, replica, sums[row * T::kSumStride + column], tile.first_filter + column);
      if (++column == tile.columns) {
        column = 0;
        ++row;
      }
    }
    store_outputs(a, replica, first, n, packs, values, step, bad);
  }
  note_bad(a, replica, bad);
}

// Sums of the tile's blocks of pixels before batch normalisation: a thread per block and filter, in the order of
// norm_math.h.
template <class T>
__device__ __forceinline__ void sum_tile(const EpilogueArguments& a, const OutputTile& tile, const float* sums) {
  constexpr int kBlock = static_cast<int>(kNormBlock);
  static_assert(T::kM % kBlock == 0);
  const unsigned replica = blockIdx.z;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < T::kM / kBlock * tile.columns; i += T::kThreads) {
    const int block = i / tile.columns, column = i - block * tile.columns, channel = tile.first_filter + column;
    const int first = block * kBlock, last = first + kBlock < tile.rows ? first + kBlock : tile.rows;
    if (first >= last) return;
    NormSums own;
#pragma unroll 4
    for (int row = first; row < last; ++row) {
      own.add_value(finish_sum(a, replica, sums[row * T::kSumStride + column], channel));
    }
    a.norm_sums.at(replica)[static_cast<Index>(tile.first_pixel / kBlock + block) * a.channels + channel] = own;
  }
}

// A block per tile and replica. Blocks that share pixels follow one another: the image is read from memory once, and
// the filters, far smaller, stay in the second-level cache.
template <class T, class Multiply, bool kWide>
__global__ void __launch_bounds__(T::kThreads) implicit_gemm_kernel(const __grid_constant__ GemmArguments a) {
  DYN_SHARED(unsigned char, shared);
  const GemmProblem& g = a.problem;
  const int tile = static_cast<int>(blockIdx.x);
  const int row_tile = tile / g.column_tiles;
  const int first_pixel = row_tile * T::kM, first_filter = (tile - row_tile * g.column_tiles) * T::kN;
  multiply_tile<T, Multiply, kWide>(g, first_pixel, first_filter, shared);
  const auto* const sums = reinterpret_cast<const float*>(shared);
  const int rows = g.pixels - first_pixel, columns = g.filters - first_filter;
  const OutputTile out{first_pixel, first_filter, rows < T::kM ? rows : T::kM, columns < T::kN ? columns : T::kN};
  finish_tile<T>(a.outputs, out, sums);
  if (a.outputs.norm_sums.data != nullptr) sum_tile<T>(a.outputs, out, sums);
}

// ---- recording

constexpr int narrow(Index n) { return static_cast<int>(n); }

bool is_aligned16(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0 && tensor.replica_stride % 16 == 0;
}

GemmProblem gemm_problem(const ConvGeometry& g, const BoundNode& node, int tile_columns) {
  GemmProblem p{};
  p.x = strided<const std::uint8_t>(node.in[0]);
  p.w = strided<const std::uint8_t>(node.in[1]);
  p.height = narrow(g.h);
  p.width = narrow(g.w);
  p.channels = narrow(g.c);
  p.filter_width = narrow(g.s);
  p.stride = narrow(g.stride);
  p.pad_y = p.pad_x = narrow(g.pad);
  p.pixels = narrow(g.n * g.p * g.q);
  p.filters = narrow(g.k);
  p.depth = narrow(g.r * g.s * g.c);
  p.image_pixels = narrow(g.p * g.q);
  p.row_pixels = narrow(g.q);
  p.by_image = Divider(g.p * g.q);
  p.by_row = Divider(g.q);
  p.by_channels = Divider(g.c);
  p.by_filter_width = Divider(g.s);
  p.column_tiles = narrow((g.k + tile_columns - 1) / tile_columns);
  return p;
}

template <class T, class Multiply, bool kWide>
void record_gemm_of(Recorder& recorder, const BoundNode& node, const ConvGeometry& g, const ConvEpilogue& epilogue) {
  GemmArguments a{gemm_problem(g, node, T::kN), epilogue_arguments(recorder, epilogue)};
  const dim3 grid(blocks_for(a.problem.pixels, T::kM) * static_cast<unsigned>(a.problem.column_tiles), 1,
                  static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(implicit_gemm_kernel<T, Multiply, kWide>, grid, dim3(T::kThreads), T::kSharedBytes, stream, a);
  });
}

template <class T, bool kWide, class... Rest>
void record_gemm_with(GemmArithmetic arithmetic, DType x, Rest&... rest) {
  if (arithmetic == GemmArithmetic::kBf16) {
    return x == DType::kS8 ? record_gemm_of<T, Bf16Multiply<true>, kWide>(rest...)
                           : record_gemm_of<T, Bf16Multiply<false>, kWide>(rest...);
  }
  return x == DType::kS8 ? record_gemm_of<T, Int8Multiply<true>, kWide>(rest...)
                         : record_gemm_of<T, Int8Multiply<false>, kWide>(rest...);
}

using Small = GemmTileShape<64, 32, 2, 2>;
using Medium = GemmTileShape<128, 64, 2, 2>;
using Large = GemmTileShape<128, 128, 2, 4>;

}  // namespace

void record_implicit_gemm_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(node.in[0].shape, node.in[1].shape, attrs.stride, attrs.pad);
  const GemmChoice choice = choose_gemm(attrs, g, node.in[0].dtype, recorder.replicas());
  const ConvEpilogue epilogue = conv_epilogue(node);
  const bool wide = g.c % 16 == 0 && is_aligned16(node.in[0]) && is_aligned16(node.in[1]);
  const auto record = [&]<class T, bool kWide>() {
    record_gemm_with<T, kWide>(choice.arithmetic, node.in[0].dtype, recorder, node, g, epilogue);
  };
  if (choice.tile == GemmTile::k64x32) {
    return wide ? record.template operator()<Small, true>() : record.template operator()<Small, false>();
  }
  if (!wide) return record.template operator()<Medium, false>();
  return choice.tile == GemmTile::k128x64 ? record.template operator()<Medium, true>()
                                          : record.template operator()<Large, true>();
}

}  // namespace gridstep
