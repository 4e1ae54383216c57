#include <algorithm>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/divider.h"
#include "kernels/conv2d/bf16_operands.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;
constexpr int kGroup = static_cast<int>(kBf16Group);

struct alignas(16) Bf16Chunk {
  Bf16 v[kGroup];
};

template <class T>
struct PixelArguments {
  Strided<const T> values;
  Strided<const float> factor;  // null data: none
  bool factor_per_channel;
  Strided<Bf16> rounded;
  int channels, groups, count;  // groups of a pixel, of all
  Divider by_groups;
  bool packs;  // values may be read four at a time
};

// A thread per group of channels.
template <class T>
__device__ __forceinline__ void round_pixels(const PixelArguments<T>& a, unsigned block) {
  const unsigned replica = blockIdx.y;
  const int i = static_cast<int>(block) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= a.count) return;
  const int pixel = a.by_groups.divide(i);
  const int first = (i - pixel * a.groups) * kGroup;
  const T* const values = a.values.at(replica) + static_cast<Index>(pixel) * a.channels;
  const Pack4<T> halves[2] = {load_up_to4(values, first, a.channels, a.packs),
                              load_up_to4(values, first + 4, a.channels, a.packs)};
  Bf16Chunk chunk;
#pragma unroll
  for (int l = 0; l < kGroup; ++l) {
    float v = static_cast<float>(halves[l / 4].v[l % 4]);
    if (a.factor.data != nullptr && first + l < a.channels) {
      v *= a.factor.at(replica)[a.factor_per_channel ? first + l : 0];
    }
    chunk.v[l] = to_bf16(v);
  }
  reinterpret_cast<Bf16Chunk*>(a.rounded.at(replica))[i] = chunk;
}

template <class T>
struct FilterArguments {
  Strided<const T> w;
  Strided<Bf16> turned;
  int filters, channels, groups, count;  // count: of groups of filters
  int filter_height, filter_width, stride, pad;
  Divider by_channels, by_groups, by_filter_width;
  GradientPhase phases[kMostPhases];
};

// A thread per channel c and group of filters k; neighbours have neighbouring channels, as they lie in w.
template <class T>
__device__ __forceinline__ void turn_filter(const FilterArguments<T>& a, unsigned block) {
  const unsigned replica = blockIdx.y;
  const int i = static_cast<int>(block) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= a.count) return;
  const int row = a.by_channels.divide(i), c = i - row * a.channels;
  const int tap = a.by_groups.divide(row), group = row - tap * a.groups;
  const int r = a.by_filter_width.divide(tap), s = tap - r * a.filter_width;
  const Index fan_in = static_cast<Index>(a.filter_height) * a.filter_width * a.channels;
  const T* const w = a.w.at(replica) + static_cast<Index>(tap) * a.channels + c;
  Bf16Chunk chunk;
#pragma unroll
  for (int l = 0; l < kGroup; ++l) {
    const int k = group * kGroup + l;
    chunk.v[l] = to_bf16(k < a.filters ? static_cast<float>(w[k * fan_in]) : 0.0f);
  }
  // The phase whose pixels y have y + pad - r divisible by the stride.
  const int y = (r - a.pad % a.stride + a.stride) % a.stride, x = (s - a.pad % a.stride + a.stride) % a.stride;
  const GradientPhase& phase = a.phases[y * a.stride + x];
  const int from_last_y = phase.y.taps - 1 - (r - phase.y.first_tap) / a.stride;
  const int from_last_x = phase.x.taps - 1 - (s - phase.x.first_tap) / a.stride;
  const Index taps = static_cast<Index>(phase.y.taps) * phase.x.taps;
  const Index at =
      static_cast<Index>(phase.first_tap) * a.channels + c * taps + from_last_y * phase.x.taps + from_last_x;
  reinterpret_cast<Bf16Chunk*>(a.turned.at(replica))[at * a.groups + group] = chunk;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    data_operands_kernel(const __grid_constant__ PixelArguments<float> dy, const __grid_constant__ FilterArguments<T> w,
                         unsigned dy_blocks) {
  if (blockIdx.x < dy_blocks) {
    round_pixels(dy, blockIdx.x);
  } else {
    turn_filter(w, blockIdx.x - dy_blocks);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    weight_operands_kernel(const __grid_constant__ PixelArguments<float> dy,
                           const __grid_constant__ PixelArguments<T> x, unsigned dy_blocks) {
  if (blockIdx.x < dy_blocks) {
    round_pixels(dy, blockIdx.x);
  } else {
    round_pixels(x, blockIdx.x - dy_blocks);
  }
}

// ---- recording

template <class T>
PixelArguments<T> pixel_arguments(const Bf16Pixels& p) {
  PixelArguments<T> a{};
  const Index channels = p.values.shape[p.values.shape.rank() - 1];
  a.values = strided<const T>(p.values);
  a.factor = strided<const float>(p.factor);
  a.factor_per_channel = p.factor.data != nullptr && p.factor.elements() > 1;
  a.rounded = strided<Bf16>(p.rounded);
  a.channels = static_cast<int>(channels);
  a.groups = static_cast<int>(channel_groups(channels));
  a.count = static_cast<int>(p.values.elements() / channels * a.groups);
  a.by_groups = Divider(a.groups);
  a.packs = channels % 4 == 0 && packs_are_aligned(a.values);
  return a;
}

template <class T>
FilterArguments<T> filter_arguments(const Bf16Filter& f) {
  const ConvGeometry& g = f.geometry;
  FilterArguments<T> a{};
  a.w = strided<const T>(f.w);
  a.turned = strided<Bf16>(f.turned);
  a.filters = static_cast<int>(g.k);
  a.channels = static_cast<int>(g.c);
  a.groups = static_cast<int>(channel_groups(g.k));
  a.count = static_cast<int>(g.r * g.s * g.c * a.groups);
  a.filter_height = static_cast<int>(g.r);
  a.filter_width = static_cast<int>(g.s);
  a.stride = static_cast<int>(g.stride);
  a.pad = static_cast<int>(g.pad);
  a.by_channels = Divider(g.c);
  a.by_groups = Divider(a.groups);
  a.by_filter_width = Divider(g.s);
  const auto phases = gradient_phases(g);
  GS_CHECK(phases.size() <= kMostPhases, "a stride of {} has more phases than fit", g.stride);
  std::copy(phases.begin(), phases.end(), a.phases);
  return a;
}

template <class Second, class Kernel>
void record_operands(Recorder& recorder, const PixelArguments<float>& dy, const Second& second, Kernel* kernel) {
  const unsigned dy_blocks = blocks_for(dy.count, kThreads);
  const dim3 grid(dy_blocks + blocks_for(second.count, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("operands", 1,
                  [=](const TaskContext&) { launch(kernel, grid, dim3(kThreads), 0, stream, dy, second, dy_blocks); });
}

template <class T>
void record_weight_operands_of(Recorder& recorder, const Bf16Pixels& dy, const Bf16Pixels& x) {
  record_operands(recorder, pixel_arguments<float>(dy), pixel_arguments<T>(x), weight_operands_kernel<T>);
}

}  // namespace

void record_bf16_data_operands(Recorder& recorder, const Bf16Pixels& dy, const Bf16Filter& filter) {
  if (filter.w.dtype == DType::kF32) {
    record_operands(recorder, pixel_arguments<float>(dy), filter_arguments<float>(filter), data_operands_kernel<float>);
  } else {
    record_operands(recorder, pixel_arguments<float>(dy), filter_arguments<std::int8_t>(filter),
                    data_operands_kernel<std::int8_t>);
  }
}

void record_bf16_weight_operands(Recorder& recorder, const Bf16Pixels& dy, const Bf16Pixels& x) {
  if (x.values.dtype == DType::kF32) {
    record_weight_operands_of<float>(recorder, dy, x);
  } else if (x.values.dtype == DType::kU8) {
    record_weight_operands_of<std::uint8_t>(recorder, dy, x);
  } else {
    record_weight_operands_of<std::int8_t>(recorder, dy, x);
  }
}

}  // namespace gridstep
