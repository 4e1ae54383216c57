#include "kernels/conv2d/conv2d_cuda.h"

#include <algorithm>

#include "engine/device/cuda/cuda_device.h"
#include "kernels/common/reduce.cuh"
#include "kernels/conv2d/conv2d_launch.h"
#include "kernels/conv2d/conv_epilogue.cuh"

namespace gridstep {
namespace {

constexpr int kThreads = kTreeThreads;
constexpr int kBlock = 4096;  // elements of a block
constexpr int kPacks = kBlock / (4 * kThreads);
constexpr std::int64_t kExactSum = std::int64_t{1} << 24;  // integers up to here are exact in float32

__device__ __forceinline__ Index first_of_pack(int pack) {
  return 4 * (static_cast<Index>(pack) * kThreads + static_cast<Index>(threadIdx.x));
}

// ---- codes to floats
// -------------------------------------------------------------------------------------------------

template <class Code>
struct OperandArguments {
  Strided<const Code> x;
  Strided<float> x_floats;
  Index x_size;
  unsigned x_blocks;  // the blocks after these take a channel of w each
  bool packs, w_packs;
  Strided<const std::int8_t> w;
  Strided<float> w_floats;
  Strided<const float> w_step;  // null data: none
  bool w_step_per_channel;
  Index fan_in;
  int largest_code;
  ReplicaStatus* status;
};

template <class Code>
__device__ __forceinline__ void expand_x(const OperandArguments<Code>& a, unsigned replica) {
  const Index begin = static_cast<Index>(blockIdx.x) * kBlock;
  const Code* const x = a.x.at(replica);
  float* const floats = a.x_floats.at(replica);
  Pack4<Code> codes[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) codes[k] = load_up_to4(x, begin + first_of_pack(k), a.x_size, a.packs);
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    Pack4<float> values;
#pragma unroll
    for (int l = 0; l < 4; ++l) values.v[l] = static_cast<float>(codes[k].v[l]);
    store_up_to4(floats, begin + first_of_pack(k), a.x_size, a.packs, values);
  }
}

template <class Code>
__device__ __forceinline__ void expand_channel(const OperandArguments<Code>& a, unsigned replica, Index channel) {
  const std::int8_t* const w = a.w.at(replica) + channel * a.fan_in;
  float* const floats = a.w_floats.at(replica) + channel * a.fan_in;
  const float s = a.w_step.data == nullptr ? 1.0f : a.w_step.at(replica)[a.w_step_per_channel ? channel : 0];
  const bool packs = a.w_packs && a.fan_in % 4 == 0;
  int magnitude = 0;
  for (Index i = 4 * static_cast<Index>(threadIdx.x); i < a.fan_in; i += 4 * kThreads) {
    const Pack4<std::int8_t> codes = load_up_to4(w, i, a.fan_in, packs);
    Pack4<float> values;
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const int q = codes.v[l];
      magnitude += q < 0 ? -q : q;
      values.v[l] = static_cast<float>(q) * s;
    }
    store_up_to4(floats, i, a.fan_in, packs, values);
  }
  if (a.largest_code == 0) return;
  const int sum = block_sum(magnitude);
  if (threadIdx.x == 0 && static_cast<std::int64_t>(sum) * a.largest_code > kExactSum) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&a.status[replica].inexact), 1ull);
  }
}

template <class Code>
__global__ void __launch_bounds__(kThreads) operands_kernel(const __grid_constant__ OperandArguments<Code> a) {
  if (blockIdx.x < a.x_blocks) {
    expand_x(a, blockIdx.y);
  } else {
    expand_channel(a, blockIdx.y, static_cast<Index>(blockIdx.x - a.x_blocks));
  }
}

template <class Code>
void record_operands_of(Recorder& recorder, const ConvOperands& o) {
  OperandArguments<Code> a{};
  a.x = strided<const Code>(o.x);
  a.x_floats = strided<float>(o.x_floats);
  a.x_size = o.x.data == nullptr ? 0 : o.x.elements();
  a.x_blocks = blocks_for(a.x_size, kBlock);
  a.packs = packs_are_aligned(a.x) && packs_are_aligned(a.x_floats);
  const Index channels = o.w.data == nullptr ? 0 : o.w.shape[0];
  a.w = strided<const std::int8_t>(o.w);
  a.w_floats = strided<float>(o.w_floats);
  a.w_packs = packs_are_aligned(a.w) && packs_are_aligned(a.w_floats);
  a.w_step = strided<const float>(o.w_step);
  a.w_step_per_channel = o.w_step.data != nullptr && o.w_step.elements() > 1;
  a.fan_in = channels == 0 ? 0 : o.w.elements() / channels;
  a.largest_code = o.largest_code;
  a.status = recorder.status();
  const dim3 grid(a.x_blocks + static_cast<unsigned>(channels), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("codes", 1,
                  [=](const TaskContext&) { launch(operands_kernel<Code>, grid, dim3(kThreads), 0, stream, a); });
}

// ---- epilogue
// --------------------------------------------------------------------------------------------------------

struct EpilogueLaunch {
  EpilogueArguments outputs;
  Strided<const float> sums;
  Index size;
  int hop;  // what a thread's channel moves by from pack to pack: 4 * kThreads mod channels
  bool packs;
};

__global__ void __launch_bounds__(kThreads) epilogue_kernel(const __grid_constant__ EpilogueLaunch a) {
  const unsigned replica = blockIdx.y;
  const Index begin = static_cast<Index>(blockIdx.x) * kBlock;
  const int channels = a.outputs.channels;
  const float* const sums = a.sums.at(replica);
  Pack4<float> values[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) values[k] = load_up_to4(sums, begin + first_of_pack(k), a.size, a.packs);

  const float step = epilogue_step(a.outputs, replica, begin == 0 && threadIdx.x == 0);
  bool bad = false;
  int channel = static_cast<int>((begin + first_of_pack(0)) % channels);
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const Index first = begin + first_of_pack(k);
    int c = channel;
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      values[k].v[l] = finish_sum(a.outputs, replica, values[k].v[l], c);
      c = c + 1 == channels ? 0 : c + 1;
    }
    store_outputs(a.outputs, replica, first, a.size - first, a.packs, values[k], step, bad);
    channel += a.hop;
    channel = channel >= channels ? channel - channels : channel;
  }
  note_bad(a.outputs, replica, bad);
}

// ---- bias gradient
// ---------------------------------------------------------------------------------------------------

// Pixels that one block sums up.
Index pixels_per_block(Index pixels, Index channels) {
  constexpr Index kMostBlocks = 1024;
  return std::max({Index{1}, kBlock / channels, (pixels + kMostBlocks - 1) / kMostBlocks});
}

struct BiasArguments {
  Strided<const float> dy;
  Strided<double> partial;
  Index pixels, pixels_per_block;
  int channels;
  int columns;  // channels of a block's row of threads
};

__global__ void __launch_bounds__(kThreads) bias_sums_kernel(const __grid_constant__ BiasArguments a) {
  SHARED(sums, double[kThreads]);
  const int thread = static_cast<int>(threadIdx.x);
  const int rows = kThreads / a.columns, row = thread / a.columns, column = thread % a.columns;
  const int channel = static_cast<int>(blockIdx.y) * a.columns + column;
  const Index begin = static_cast<Index>(blockIdx.x) * a.pixels_per_block;
  const Index end = begin + a.pixels_per_block < a.pixels ? begin + a.pixels_per_block : a.pixels;
  double sum = 0.0;
  if (row < rows && channel < a.channels) {
    const float* const dy = a.dy.at(blockIdx.z) + channel;
#pragma unroll 8
    for (Index p = begin + row; p < end; p += rows) sum += static_cast<double>(dy[p * a.channels]);
  }
  sums[thread] = sum;
  __syncthreads();
  if (row != 0 || channel >= a.channels) return;
  double total = 0.0;
  for (int r = 0; r < rows; ++r) total += sums[r * a.columns + column];
  a.partial.at(blockIdx.z)[static_cast<Index>(blockIdx.x) * a.channels + channel] = total;
}

struct FinishArguments {
  Strided<const double> partial;
  Index blocks;
  int channels;
  Strided<float> db;
  Strided<float> dw;
  Strided<const float> x_step;
  Index dw_size;  // 0: dw stays
  bool packs;
};

// The first blocks take a channel of db each, the others 4096 elements of dw.
__global__ void __launch_bounds__(kThreads) weight_finish_kernel(const __grid_constant__ FinishArguments a) {
  const unsigned replica = blockIdx.y;
  if (blockIdx.x < static_cast<unsigned>(a.channels)) {
    const double* const partial = a.partial.at(replica) + blockIdx.x;
    const int channels = a.channels;
    const double sum = block_lane_sum(a.blocks, [=](Index i) { return partial[i * channels]; });
    if (threadIdx.x == 0) a.db.at(replica)[blockIdx.x] = static_cast<float>(sum);
    return;
  }
  const Index begin = static_cast<Index>(blockIdx.x - static_cast<unsigned>(a.channels)) * kBlock;
  float* const dw = a.dw.at(replica);
  const float s = *a.x_step.at(replica);
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const Index first = begin + first_of_pack(k);
    Pack4<float> values = load_up_to4(static_cast<const float*>(dw), first, a.dw_size, a.packs);
#pragma unroll
    for (int l = 0; l < 4; ++l) values.v[l] *= s;
    store_up_to4(dw, first, a.dw_size, a.packs, values);
  }
}

}  // namespace

void record_conv_operands(Recorder& recorder, const ConvOperands& operands) {
  if (operands.x.data != nullptr && operands.x.dtype == DType::kU8) {
    record_operands_of<std::uint8_t>(recorder, operands);
  } else {
    record_operands_of<std::int8_t>(recorder, operands);
  }
}

void record_conv_epilogue(Recorder& recorder, const ConvEpilogue& epilogue) {
  EpilogueLaunch a{};
  a.outputs = epilogue_arguments(recorder, epilogue);
  a.sums = strided<const float>(epilogue.sums);
  a.size = epilogue.sums.elements();
  a.hop = 4 * kThreads % a.outputs.channels;
  a.packs = a.outputs.packs && packs_are_aligned(a.sums);
  const dim3 grid(blocks_for(a.size, kBlock), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("epilogue", 1,
                  [=](const TaskContext&) { launch(epilogue_kernel, grid, dim3(kThreads), 0, stream, a); });
}

ConvEpilogue conv_epilogue(const BoundNode& node) {
  const ConvTail t = conv_tail(node);
  const auto& attrs = node.attrs<Conv2dAttrs>();
  return {.channels = node.in[1].shape[0],
          .sums = {},
          .bias = t.bias,
          .x_step = t.x_step,
          .w_step = t.w_step,
          .y = t.y,
          .quantize = attrs.quantize,
          .parameter = t.parameter,
          .codes = t.codes,
          .step = t.step,
          .norm_sums = t.norm_sums,
          .residual = t.residual,
          .relu = attrs.relu};
}

Index conv_bias_blocks(const Shape& dy) {
  const Index channels = dy[3], pixels = dy.elements() / channels;
  const Index piece = pixels_per_block(pixels, channels);
  return (pixels + piece - 1) / piece;
}

void record_conv_bias_sums(Recorder& recorder, const Tensor& dy, const Tensor& partial) {
  BiasArguments a{};
  a.dy = strided<const float>(dy);
  a.partial = strided<double>(partial);
  a.channels = static_cast<int>(dy.shape[3]);
  a.pixels = dy.elements() / a.channels;
  a.pixels_per_block = pixels_per_block(a.pixels, a.channels);
  a.columns = std::min(a.channels, kThreads);
  const dim3 grid(static_cast<unsigned>(conv_bias_blocks(dy.shape)), blocks_for(a.channels, a.columns),
                  static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("bias", 1, [=](const TaskContext&) { launch(bias_sums_kernel, grid, dim3(kThreads), 0, stream, a); });
}

void record_conv_weight_finish(Recorder& recorder, const ConvWeightFinish& finish) {
  FinishArguments a{};
  a.partial = strided<const double>(finish.partial);
  a.blocks = finish.blocks;
  a.channels = finish.db.data != nullptr ? static_cast<int>(finish.db.elements()) : 0;
  a.db = strided<float>(finish.db);
  a.dw = strided<float>(finish.dw);
  a.x_step = strided<const float>(finish.x_step);
  a.dw_size = finish.x_step.data == nullptr ? 0 : finish.dw.elements();
  a.packs = packs_are_aligned(a.dw);
  const dim3 grid(static_cast<unsigned>(a.channels) + blocks_for(a.dw_size, kBlock),
                  static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("finish", 1,
                  [=](const TaskContext&) { launch(weight_finish_kernel, grid, dim3(kThreads), 0, stream, a); });
}

}  // namespace gridstep
