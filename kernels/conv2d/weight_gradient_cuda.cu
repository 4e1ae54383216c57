#include <algorithm>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/ptx.cuh"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/divider.h"
#include "kernels/conv2d/bf16_gradients.h"
#include "kernels/conv2d/bf16_operands.h"
#include "kernels/conv2d/stage_pipeline.cuh"

namespace gridstep {
namespace {

constexpr int kGroup = static_cast<int>(kBf16Group);
constexpr int kThreads = 128;
constexpr int kDepth = 32;  // pixels of dy in a stage
constexpr int kStages = 4;

// Filters x columns of a block; its four warps take 32 filters each, and as many columns as that leaves. In shared
// memory a stage has a row for each of its pixels, of either operand. The product wants its terms, the pixels, side by
// side: ldmatrix turns them.
template <int M>
struct WeightTile {
  static constexpr int kM = M, kN = 64;
  static constexpr int kWarpRows = 32, kWarpColumns = kN * M / 128;
  static constexpr int kFragmentRows = kWarpRows / 16, kFragmentColumns = kWarpColumns / 8;
  static constexpr int kDyStage = kDepth * kM, kStage = kDyStage + kDepth * kN;  // elements
  static constexpr int kSumStride = kN + 8;                                      // as in implicit_gemm.cuh
  static constexpr int kSharedBytes = kStages * kStage * static_cast<int>(sizeof(Bf16));
  static_assert(kM * kSumStride * 4 <= kSharedBytes, "the sums take the place of the stages");
};

struct WeightArguments {
  Strided<const Bf16> x, dy;
  Strided<float> sums;                      // (pieces, K, R, S, C)
  int height, width, channels, x_channels;  // of x, without and with what fills up its groups
  int filters, dy_channels;                 // likewise of dy
  int filter_width, stride, pad;
  int pixels, piece;    // of dy: all, and those of a piece
  int columns, fan_in;  // R S times x_channels, and times channels
  Divider by_image, by_row, by_channels, by_filter_width;
  int image_pixels, row_pixels;
  int column_tiles;
  bool packs;  // sums may be written four at a time
};

// Where 16 bytes lie within an operand's stage. One row of 64 elements spans all banks, or two of 32; rotating their
// chunks spreads over the banks the eight rows that ldmatrix reads at once.
template <int kWidth>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  constexpr int kChunks = kWidth / kGroup, kRowsOfBanks = 64 / kWidth;
  return row * kWidth + (chunk ^ row / kRowsOfBanks % kChunks) * kGroup;
}

// Brings pixels of both operands to shared memory. A thread copies the same chunk of several pixels: its filters, and
// its tap and channels of x, stay what they are.
template <class T>
class Loader {
 public:
  __device__ __forceinline__ Loader(const WeightArguments& a, int first_filter, int first_column, int end)
      : a_(a),
        x_(a.x.at(blockIdx.z)),
        dy_(a.dy.at(blockIdx.z)),
        end_(end),
        filter_(first_filter + chunk<T::kM>() * kGroup) {
    const int column = first_column + chunk<T::kN>() * kGroup;
    const int tap = a.by_channels.divide(column);
    r_ = a.by_filter_width.divide(tap);
    s_ = tap - r_ * a.filter_width;
    c_ = column - tap * a.x_channels;
    has_tap_ = column < a.columns;
  }

  // Pixels first .. first + kDepth - 1, zeros from the end of the piece on. All threads.
  __device__ __forceinline__ void load(Bf16* stage, int first) const {
#pragma unroll
    for (int row = first_row<T::kM>(); row < kDepth; row += kRows<T::kM>) {
      const int pixel = first + row;
      const bool inside = pixel < end_ && filter_ < a_.dy_channels;
      ptx::cp_async16(stage + swizzled<T::kM>(row, chunk<T::kM>()),
                      inside ? dy_ + static_cast<Index>(pixel) * a_.dy_channels + filter_ : dy_, inside ? 16 : 0);
    }
#pragma unroll
    for (int row = first_row<T::kN>(); row < kDepth; row += kRows<T::kN>) {
      const Index at = pixel_of_x(first + row);
      ptx::cp_async16(stage + T::kDyStage + swizzled<T::kN>(row, chunk<T::kN>()), at >= 0 ? x_ + at : x_,
                      at >= 0 ? 16 : 0);
    }
  }

 private:
  // Of an operand whose rows have kWidth elements: the thread's chunk and first row, and the rows that the block copies
  // at once.
  template <int kWidth>
  __device__ __forceinline__ static int chunk() {
    return static_cast<int>(threadIdx.x) % (kWidth / kGroup);
  }
  template <int kWidth>
  __device__ __forceinline__ static int first_row() {
    return static_cast<int>(threadIdx.x) / (kWidth / kGroup);
  }
  template <int kWidth>
  static constexpr int kRows = kThreads / (kWidth / kGroup);

  // Under the thread's tap; -1 outside of the image.
  __device__ __forceinline__ Index pixel_of_x(int pixel) const {
    if (pixel >= end_ || !has_tap_) return -1;
    const int image = a_.by_image.divide(pixel), rest = pixel - image * a_.image_pixels;
    const int p = a_.by_row.divide(rest), q = rest - p * a_.row_pixels;
    const int y = p * a_.stride - a_.pad + r_, x = q * a_.stride - a_.pad + s_;
    if (static_cast<unsigned>(y) >= static_cast<unsigned>(a_.height)) return -1;
    if (static_cast<unsigned>(x) >= static_cast<unsigned>(a_.width)) return -1;
    return ((static_cast<Index>(image) * a_.height + y) * a_.width + x) * a_.x_channels + c_;
  }

  const WeightArguments& a_;
  const Bf16* x_;
  const Bf16* dy_;
  int end_, filter_, r_, s_, c_;
  bool has_tap_;
};

template <class T>
struct WarpSums {
  float v[T::kFragmentRows][T::kFragmentColumns][4] = {};

  __device__ __forceinline__ static int first_row() {
    return static_cast<int>(threadIdx.x) / 32 % (T::kM / T::kWarpRows) * T::kWarpRows;
  }
  __device__ __forceinline__ static int first_column() {
    return static_cast<int>(threadIdx.x) / 32 / (T::kM / T::kWarpRows) * T::kWarpColumns;
  }

  __device__ __forceinline__ void add(const Bf16* stage) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int depth = 0; depth < kDepth; depth += 16) {
      unsigned a[T::kFragmentRows][4];
#pragma unroll
      for (int i = 0; i < T::kFragmentRows; ++i) {  // filters 0-7, 8-15 of the first eight pixels, then of the others
        const int row = depth + lane / 16 * 8 + lane % 8, filter = first_row() + i * 16 + lane / 8 % 2 * 8;
        ptx::ldmatrix_x4_trans(a[i], stage + swizzled<T::kM>(row, filter / kGroup));
      }
#pragma unroll
      for (int j = 0; j < T::kFragmentColumns; j += 2) {  // both halves of the pixels for columns j, then for j + 1
        unsigned b[4];
        const int row = depth + lane / 8 % 2 * 8 + lane % 8, column = first_column() + j * 8 + lane / 16 * 8;
        ptx::ldmatrix_x4_trans(b, stage + T::kDyStage + swizzled<T::kN>(row, column / kGroup));
        const unsigned pairs[2][2] = {{b[0], b[1]}, {b[2], b[3]}};
#pragma unroll
        for (int i = 0; i < T::kFragmentRows; ++i) {
          ptx::mma_m16n8k16_bf16(v[i][j], a[i], pairs[0]);
          ptx::mma_m16n8k16_bf16(v[i][j + 1], a[i], pairs[1]);
        }
      }
    }
  }

  __device__ __forceinline__ void store(float* sums) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < T::kFragmentRows; ++i) {
#pragma unroll
      for (int j = 0; j < T::kFragmentColumns; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = first_row() + i * 16 + lane / 4 + half * 8, column = first_column() + j * 8 + lane % 4 * 2;
          *reinterpret_cast<float2*>(sums + row * T::kSumStride + column) =
              make_float2(v[i][j][2 * half], v[i][j][2 * half + 1]);
        }
      }
    }
  }
};

// To (K, R, S, C) of the piece: four columns are neighbouring channels of one tap.
template <class T>
__device__ __forceinline__ void store_tile(const WeightArguments& a, int first_filter, int first_column,
                                           const float* sums) {
  constexpr int kPacks = T::kN / 4;
  float* const out = a.sums.at(blockIdx.z) + static_cast<Index>(blockIdx.y) * a.filters * a.fan_in;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < T::kM * kPacks; i += kThreads) {
    const int row = i / kPacks, in_tile = i % kPacks * 4;
    const int filter = first_filter + row, column = first_column + in_tile;
    if (filter >= a.filters || column >= a.columns) continue;
    const int tap = a.by_channels.divide(column), c = column - tap * a.x_channels;
    const Pack4<float> values = load4(sums + row * T::kSumStride + in_tile, 0);
    store_up_to4(out + static_cast<Index>(filter) * a.fan_in + tap * a.channels, c, a.channels, a.packs, values);
  }
}

// A block per tile, piece of the pixels and replica.
template <class T>
__global__ void __launch_bounds__(kThreads) weight_gradient_kernel(const __grid_constant__ WeightArguments a) {
  DYN_SHARED(Bf16, shared);
  const int tile = static_cast<int>(blockIdx.x), row_tile = tile / a.column_tiles;
  const int first_filter = row_tile * T::kM, first_column = (tile - row_tile * a.column_tiles) * T::kN;
  const int begin = static_cast<int>(blockIdx.y) * a.piece;
  const int end = begin + a.piece < a.pixels ? begin + a.piece : a.pixels;
  const Loader<T> loader(a, first_filter, first_column, end);
  const auto stage = [&](int step) { return shared + step % kStages * T::kStage; };
  const int steps = (end - begin + kDepth - 1) / kDepth;
  WarpSums<T> sums;
  run_stages<kStages>(
      steps, [&](int step) { loader.load(stage(step), begin + step * kDepth); },
      [&](int step) { sums.add(stage(step)); });
  auto* const floats = reinterpret_cast<float*>(shared);
  sums.store(floats);
  __syncthreads();
  store_tile<T>(a, first_filter, first_column, floats);
}

// ---- the pieces' sum

constexpr int kLanes = 8, kPacksPerBlock = 32;  // a warp per lane
constexpr int kSumThreads = kLanes * kPacksPerBlock;

struct SumArguments {
  Strided<const float> pieces;
  Strided<const float> x_step;  // null data: none
  Strided<float> dw;
  Index size;
  int count;
  bool packs, dw_packs;
};

// Lane l adds pieces l, l + 8, ...; then the lanes are added in order.
__global__ void __launch_bounds__(kSumThreads) weight_sum_kernel(const __grid_constant__ SumArguments a) {
  SHARED(lanes, Pack4<float>[kLanes * kPacksPerBlock]);
  const unsigned replica = blockIdx.y;
  const int lane = static_cast<int>(threadIdx.x) / kPacksPerBlock,
            pack = static_cast<int>(threadIdx.x) % kPacksPerBlock;
  const Index first = 4 * (static_cast<Index>(blockIdx.x) * kPacksPerBlock + pack);
  const float* const pieces = a.pieces.at(replica);
  Pack4<float> sum{};
#pragma unroll 4
  for (int p = lane; p < a.count; p += kLanes) {
    const Pack4<float> values = load_up_to4(pieces + p * a.size, first, a.size, a.packs);
#pragma unroll
    for (int l = 0; l < 4; ++l) sum.v[l] += values.v[l];
  }
  lanes[threadIdx.x] = sum;
  __syncthreads();
  if (lane != 0) return;
  for (int other = 1; other < kLanes; ++other) {
#pragma unroll
    for (int l = 0; l < 4; ++l) sum.v[l] += lanes[other * kPacksPerBlock + pack].v[l];
  }
  const float s = a.x_step.data == nullptr ? 1.0f : *a.x_step.at(replica);
#pragma unroll
  for (int l = 0; l < 4; ++l) sum.v[l] *= s;
  store_up_to4(a.dw.at(replica), first, a.size, a.dw_packs, sum);
}

// ---- recording

using Narrow = WeightTile<32>;
using Wide = WeightTile<64>;

Index columns_of(const ConvGeometry& g) { return g.r * g.s * channel_groups(g.c) * kBf16Group; }
bool is_narrow(const ConvGeometry& g) { return g.k <= Narrow::kM; }
unsigned tiles_of(const ConvGeometry& g) {
  return blocks_for(g.k, is_narrow(g) ? Narrow::kM : Wide::kM) * blocks_for(columns_of(g), Wide::kN);
}

// By the geometry alone: the bits must not depend on replicas. Enough blocks for a large GPU, none with less than 256
// pixels.
int pixels_per_piece(const ConvGeometry& g) {
  constexpr Index kBlocks = 264, kLeast = 256;
  const Index pixels = g.n * g.p * g.q, tiles = tiles_of(g);
  const Index pieces = std::clamp<Index>((kBlocks + tiles - 1) / tiles, 1, std::max<Index>(pixels / kLeast, 1));
  const Index piece = (pixels + pieces - 1) / pieces;
  return static_cast<int>((piece + kDepth - 1) / kDepth * kDepth);
}

int pieces_of(const ConvGeometry& g) { return static_cast<int>(blocks_for(g.n * g.p * g.q, pixels_per_piece(g))); }

struct Workspace {
  Tensor dy, x, sums, bias;
  Bytes size = 0;

  Workspace(const Tensor& memory, const ConvGeometry& g) {
    const auto take = [&](Bytes bytes, const Shape& shape, DType type) {
      const Bytes at = size;
      size += align_up(bytes);
      return Tensor{memory.data == nullptr ? nullptr : memory.data + at, shape, type, memory.replica_stride};
    };
    const Bytes dy_bytes = bf16_pixels_bytes(g.n * g.p * g.q, g.k), x_bytes = bf16_pixels_bytes(g.n * g.h * g.w, g.c);
    const Shape parts{pieces_of(g), g.k, g.r, g.s, g.c}, partial{conv_bias_blocks({g.n, g.p, g.q, g.k}), g.k};
    dy = take(dy_bytes, {dy_bytes}, DType::kU8);
    x = take(x_bytes, {x_bytes}, DType::kU8);
    sums = take(parts.elements() * 4, parts, DType::kF32);
    bias = take(partial.elements() * 8, partial, DType::kF64);
  }
};

WeightArguments weight_arguments(const ConvGeometry& g, const Workspace& work) {
  WeightArguments a{};
  a.x = strided<const Bf16>(work.x);
  a.dy = strided<const Bf16>(work.dy);
  a.sums = strided<float>(work.sums);
  a.height = static_cast<int>(g.h);
  a.width = static_cast<int>(g.w);
  a.channels = static_cast<int>(g.c);
  a.x_channels = static_cast<int>(channel_groups(g.c)) * kGroup;
  a.filters = static_cast<int>(g.k);
  a.dy_channels = static_cast<int>(channel_groups(g.k)) * kGroup;
  a.filter_width = static_cast<int>(g.s);
  a.stride = static_cast<int>(g.stride);
  a.pad = static_cast<int>(g.pad);
  a.pixels = static_cast<int>(g.n * g.p * g.q);
  a.piece = pixels_per_piece(g);
  a.columns = static_cast<int>(columns_of(g));
  a.fan_in = static_cast<int>(g.r * g.s * g.c);
  a.by_image = Divider(g.p * g.q);
  a.by_row = Divider(g.q);
  a.by_channels = Divider(a.x_channels);
  a.by_filter_width = Divider(g.s);
  a.image_pixels = static_cast<int>(g.p * g.q);
  a.row_pixels = static_cast<int>(g.q);
  a.column_tiles = static_cast<int>(blocks_for(a.columns, Wide::kN));
  a.packs = g.c % 4 == 0;
  return a;
}

template <class T>
void record_gemm(Recorder& recorder, const ConvGeometry& g, const Workspace& work) {
  const WeightArguments a = weight_arguments(g, work);
  const dim3 grid(tiles_of(g), static_cast<unsigned>(pieces_of(g)), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(weight_gradient_kernel<T>, grid, dim3(kThreads), T::kSharedBytes, stream, a);
  });
}

void record_sum(Recorder& recorder, const Workspace& work, const Tensor& x_step, const Tensor& dw) {
  SumArguments a{};
  a.pieces = strided<const float>(work.sums);
  a.x_step = strided<const float>(x_step);
  a.dw = strided<float>(dw);
  a.size = dw.elements();
  a.count = static_cast<int>(work.sums.shape[0]);
  a.packs = a.size % 4 == 0;
  a.dw_packs = packs_are_aligned(a.dw);
  const dim3 grid(blocks_for(a.size, 4 * kPacksPerBlock), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("sum", 1,
                  [=](const TaskContext&) { launch(weight_sum_kernel, grid, dim3(kSumThreads), 0, stream, a); });
}

}  // namespace

Bytes bf16_weight_gradient_workspace(const ConvGeometry& g) {
  check_bf16_counts(g);
  return Workspace({}, g).size;
}

void record_bf16_weight_gradient_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], dy = node.in[1], x_step = node.in[3], dw = node.out[0], db = node.out[1];
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(x.shape, dw.shape, attrs.stride, attrs.pad);
  const Workspace work(node.workspace, g);
  GS_CHECK(node.workspace.elements() >= work.size, "the workspace is too small");
  record_bf16_weight_operands(recorder, {.values = dy, .factor = {}, .rounded = work.dy},
                              {.values = x, .factor = {}, .rounded = work.x});
  if (is_narrow(g)) {
    record_gemm<Narrow>(recorder, g, work);
  } else {
    record_gemm<Wide>(recorder, g, work);
  }
  record_sum(recorder, work, x_step, dw);
  if (db.data == nullptr) return;
  record_conv_bias_sums(recorder, dy, work.bias);
  record_conv_weight_finish(recorder,
                            {.partial = work.bias, .db = db, .dw = dw, .x_step = {}, .blocks = work.bias.shape[0]});
}

}  // namespace gridstep
