#include <algorithm>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_device.h"
#include "kernels/conv2d/bf16_gradients.h"
#include "kernels/conv2d/bf16_operands.h"
#include "kernels/conv2d/implicit_gemm.cuh"

namespace gridstep {
namespace {

constexpr int kElement = static_cast<int>(sizeof(Bf16));

// Where a phase's pixels lie in dx.
struct PhaseOrigin {
  int y, x;
};

struct DataArguments {
  GemmProblem problems[kMostPhases];  // rows: the pixels of one phase; filters: the channels of dx
  PhaseOrigin origins[kMostPhases];
  Strided<float> dx;
  int height, width, channels, stride;
  bool packs;  // dx may be written four channels at a time
};

template <class T>
__device__ __forceinline__ void store_tile(const DataArguments& a, int first_pixel, int first_channel,
                                           const float* sums) {
  constexpr int kPacks = T::kN / 4;
  const GemmProblem& g = a.problems[blockIdx.y];
  const PhaseOrigin& origin = a.origins[blockIdx.y];
  float* const dx = a.dx.at(blockIdx.z);
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < T::kM * kPacks; i += T::kThreads) {
    const int row = i / kPacks, column = i % kPacks * 4;
    const int pixel = first_pixel + row, channel = first_channel + column;
    if (pixel >= g.pixels || channel >= a.channels) continue;
    const int image = g.by_image.divide(pixel), rest = pixel - image * g.image_pixels;
    const int p = g.by_row.divide(rest), q = rest - p * g.row_pixels;
    const int y = p * a.stride + origin.y, x = q * a.stride + origin.x;
    const Pack4<float> values = load4(sums + row * T::kSumStride + column, 0);
    store_up_to4(dx + ((static_cast<Index>(image) * a.height + y) * a.width + x) * a.channels, channel, a.channels,
                 a.packs, values);
  }
}

// A block per tile, phase and replica; phases with fewer tiles than the largest leave some idle.
template <class T>
__global__ void __launch_bounds__(T::kThreads) data_gradient_kernel(const __grid_constant__ DataArguments a) {
  DYN_SHARED(unsigned char, shared);
  const GemmProblem& g = a.problems[blockIdx.y];
  const int tile = static_cast<int>(blockIdx.x);
  const int row_tile = tile / g.column_tiles;
  const int first_pixel = row_tile * T::kM, first_channel = (tile - row_tile * g.column_tiles) * T::kN;
  if (first_pixel >= g.pixels) return;
  multiply_tile<T, Bf16Values, true>(g, first_pixel, first_channel, shared);
  store_tile<T>(a, first_pixel, first_channel, reinterpret_cast<const float*>(shared));
}

// ---- recording

struct Workspace {
  Tensor dy, w;

  Workspace(const Tensor& memory, const ConvGeometry& g) {
    const Bytes dy_bytes = bf16_pixels_bytes(g.n * g.p * g.q, g.k), w_bytes = bf16_filter_bytes(g);
    dy = {memory.data, {dy_bytes}, DType::kU8, memory.replica_stride};
    w = {memory.data + dy_bytes, {w_bytes}, DType::kU8, memory.replica_stride};
  }
};

GemmProblem phase_problem(const ConvGeometry& g, const GradientPhase& phase, const Workspace& work, int tile_columns) {
  const int dy_channels = static_cast<int>(channel_groups(g.k) * kBf16Group) * kElement;  // in bytes
  GemmProblem p{};
  p.x = strided<const std::uint8_t>(work.dy);
  p.w = strided<const std::uint8_t>(work.w);
  p.w.data += static_cast<Index>(phase.first_tap) * g.c * dy_channels;
  p.height = static_cast<int>(g.p);
  p.width = static_cast<int>(g.q);
  p.channels = dy_channels;
  p.filter_width = phase.x.taps;
  p.stride = 1;
  p.pad_y = phase.y.pad;
  p.pad_x = phase.x.pad;
  p.image_pixels = phase.y.pixels * phase.x.pixels;
  p.row_pixels = phase.x.pixels;
  p.pixels = static_cast<int>(g.n) * p.image_pixels;
  p.filters = static_cast<int>(g.c);
  p.depth = phase.y.taps * phase.x.taps * dy_channels;
  p.by_image = Divider(std::max(p.image_pixels, 1));
  p.by_row = Divider(std::max(p.row_pixels, 1));
  p.by_channels = Divider(dy_channels);
  p.by_filter_width = Divider(std::max(phase.x.taps, 1));
  p.column_tiles = (p.filters + tile_columns - 1) / tile_columns;
  return p;
}

template <class T>
void record_gemm(Recorder& recorder, const ConvGeometry& g, const Workspace& work, const Tensor& dx) {
  DataArguments a{};
  auto phases = gradient_phases(g);
  // Those with the most taps first: they take longest.
  std::stable_sort(phases.begin(), phases.end(), [](const GradientPhase& one, const GradientPhase& other) {
    return one.y.taps * one.x.taps > other.y.taps * other.x.taps;
  });
  unsigned tiles = 0;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    a.problems[i] = phase_problem(g, phases[i], work, T::kN);
    a.origins[i] = {phases[i].y.first, phases[i].x.first};
    tiles =
        std::max(tiles, blocks_for(a.problems[i].pixels, T::kM) * static_cast<unsigned>(a.problems[i].column_tiles));
  }
  a.dx = strided<float>(dx);
  a.height = static_cast<int>(g.h);
  a.width = static_cast<int>(g.w);
  a.channels = static_cast<int>(g.c);
  a.stride = static_cast<int>(g.stride);
  a.packs = g.c % 4 == 0 && packs_are_aligned(a.dx);
  const dim3 grid(tiles, static_cast<unsigned>(phases.size()), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(data_gradient_kernel<T>, grid, dim3(T::kThreads), T::kSharedBytes, stream, a);
  });
}

using Narrow = GemmTileShape<64, 32, 2, 2>;
using Wide = GemmTileShape<128, 64, 2, 2>;

// The wide tile reads each operand less often; the narrow one gives every multiprocessor of a GPU something to do.
// Either adds an element's terms in the same order. Not measured.
bool takes_wide(const Conv2dAttrs& attrs, const ConvGeometry& g, int replicas) {
  constexpr Index kFills = 132;
  if (attrs.gemm) return attrs.gemm->tile != GemmTile::k64x32;
  const Index blocks = Index{blocks_for(g.n * g.h * g.w, Wide::kM)} * blocks_for(g.c, Wide::kN) * replicas;
  return g.c > Narrow::kN && blocks >= kFills;
}

}  // namespace

Bytes bf16_data_gradient_workspace(const ConvGeometry& g) {
  if (g.stride > 2) {
    fail<ConfigError>(
        "data gradients in bfloat16 take strides of 1 and 2 on CUDA, not {}: leave train.backward = bfloat16 out",
        g.stride);
  }
  check_bf16_counts(g);
  return bf16_pixels_bytes(g.n * g.p * g.q, g.k) + bf16_filter_bytes(g);
}

void record_bf16_data_gradient_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], w = node.in[1], w_step = node.in[2], dx = node.out[0];
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(dx.shape, w.shape, attrs.stride, attrs.pad);
  GS_CHECK(node.workspace.elements() >= bf16_data_gradient_workspace(g), "the workspace is too small");
  const Workspace work(node.workspace, g);
  record_bf16_data_operands(recorder, {.values = dy, .factor = w_step, .rounded = work.dy},
                            {.w = w, .turned = work.w, .geometry = g});
  if (takes_wide(attrs, g, recorder.replicas())) {
    record_gemm<Wide>(recorder, g, work, dx);
  } else {
    record_gemm<Narrow>(recorder, g, work, dx);
  }
}

}  // namespace gridstep
