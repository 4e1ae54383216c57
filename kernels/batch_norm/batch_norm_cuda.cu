#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_math.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

struct Extent {
  Index pixels;
  int channels;
  __host__ __device__ Index blocks() const { return norm_blocks(pixels); }
};

struct Inputs {
  Strided<const float> x, dy;  // dy: backward only
  Strided<const float> mean, inv_std;
};

// Sums of the pixels of one block for V neighbouring channels: a thread each, so that a warp reads whole lines.
template <bool Backward, int V>
__global__ void __launch_bounds__(kThreads) norm_sums_kernel(Inputs in, Strided<NormSums> sums, Extent e) {
  const int groups = e.channels / V;
  const Index thread = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  const Index block = thread / groups;
  if (block >= e.blocks()) return;
  const int channel = static_cast<int>(thread % groups) * V;
  const float* const x = in.x.at(blockIdx.y);
  const float* const dy = Backward ? in.dy.at(blockIdx.y) : nullptr;
  float mean[V] = {}, inv_std[V] = {};
  if constexpr (Backward) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      mean[v] = in.mean.at(blockIdx.y)[channel + v];
      inv_std[v] = in.inv_std.at(blockIdx.y)[channel + v];
    }
  }
  NormSums own[V];
  const Index first = block * kNormBlock;
  const Index last = first + kNormBlock < e.pixels ? first + kNormBlock : e.pixels;
#pragma unroll 4
  for (Index p = first; p < last; ++p) {
    const Index at = p * e.channels + channel;
    const Pack4<float> values = load_up_to4(x, at, at + V, V == 4);
    Pack4<float> gradients{};
    if constexpr (Backward) gradients = load_up_to4(dy, at, at + V, V == 4);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      if constexpr (Backward) {
        own[v].add_gradient(gradients.v[v], normalised(values.v[v], mean[v], inv_std[v]));
      } else {
        own[v].add_value(values.v[v]);
      }
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) sums.at(blockIdx.y)[(channel + v) * e.blocks() + block] = own[v];
}

// The whole sum of a channel, in every lane of the warp that has it.
__device__ __forceinline__ NormSums sum_blocks(const NormSums* blocks, Index count) {
  NormSums sum;
  for (Index b = static_cast<Index>(threadIdx.x) % kWarp; b < count; b += kWarp) sum.add(blocks[b]);
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) {
    NormSums other;
    other.first = __shfl_xor_sync(0xffffffffu, sum.first, half);
    other.second = __shfl_xor_sync(0xffffffffu, sum.second, half);
    sum.add(other);
  }
  return sum;
}

// A warp per channel; warps beyond the last repeat it and write nothing.
struct OwnChannel {
  int index;
  bool writes;
};
__device__ __forceinline__ OwnChannel own_channel(int channels) {
  const int index = static_cast<int>(blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp);
  return {index < channels ? index : channels - 1, index < channels && threadIdx.x % kWarp == 0};
}

__global__ void __launch_bounds__(kThreads)
    norm_statistics_kernel(Strided<const NormSums> sums, Extent e, BatchNormAttrs attrs, Strided<float> mean,
                           Strided<float> inv_std, Strided<float> running_mean, Strided<float> running_var) {
  const OwnChannel c = own_channel(e.channels);
  const unsigned r = blockIdx.y;
  if (attrs.frozen) {
    if (!c.writes) return;
    mean.at(r)[c.index] = running_mean.at(r)[c.index];
    inv_std.at(r)[c.index] = inverse_deviation(static_cast<double>(running_var.at(r)[c.index]), attrs.eps);
    return;
  }
  const NormSums total = sum_blocks(sums.at(r) + c.index * e.blocks(), e.blocks());
  if (c.writes) {
    finish_statistics(total, static_cast<double>(e.pixels), attrs.eps, attrs.momentum, mean.at(r)[c.index],
                      inv_std.at(r)[c.index], running_mean.at(r)[c.index], running_var.at(r)[c.index]);
  }
}

__global__ void __launch_bounds__(kThreads)
    norm_parameters_kernel(Strided<const NormSums> sums, Extent e, Strided<float> dgamma, Strided<float> dbeta) {
  const OwnChannel c = own_channel(e.channels);
  const NormSums total = sum_blocks(sums.at(blockIdx.y) + c.index * e.blocks(), e.blocks());
  if (!c.writes) return;
  dbeta.at(blockIdx.y)[c.index] = static_cast<float>(total.first);
  dgamma.at(blockIdx.y)[c.index] = static_cast<float>(total.second);
}

struct Parameters {
  Strided<const float> mean, inv_std, gamma;
  Strided<const float> beta;           // forward
  Strided<const float> dgamma, dbeta;  // backward
  float share;                         // 1/M, or 0 where statistics are frozen
};

// Packs of four channels where every pixel begins at one.
template <bool Backward>
__global__ void __launch_bounds__(kThreads)
    norm_apply_kernel(Strided<const float> x, Strided<const float> dy, Strided<float> out, Parameters p, int channels,
                      Index n, bool packs) {
  const unsigned r = blockIdx.y;
  const Index at = (static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x)) * (packs ? 4 : 1);
  if (at >= n) return;
  const int first = static_cast<int>(at % channels);
  const Index end = packs ? at + 4 : at + 1;
  Pack4<float> values = load_up_to4(x.at(r), at, end, packs);
  Pack4<float> gradients{};
  if constexpr (Backward) gradients = load_up_to4(dy.at(r), at, end, packs);
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    if (at + v >= end) break;
    const int c = first + v;
    const float mean = p.mean.at(r)[c], inv_std = p.inv_std.at(r)[c], gamma = p.gamma.at(r)[c];
    if constexpr (Backward) {
      values.v[v] = norm_gradient(mean, inv_std, gamma, p.dbeta.at(r)[c] * p.share, p.dgamma.at(r)[c] * p.share)(
          values.v[v], gradients.v[v]);
    } else {
      values.v[v] = NormApply{mean, inv_std * gamma, p.beta.at(r)[c]}(values.v[v]);
    }
  }
  store_up_to4(out.at(r), at, end, packs, values);
}

Extent extent_of(const Tensor& x) { return {x.elements() / x.shape[3], static_cast<int>(x.shape[3])}; }

template <bool Backward>
void record_sums(Recorder& recorder, const Inputs& in, const Strided<NormSums>& sums, const Extent& e, bool packs) {
  const Index threads = e.blocks() * (packs ? e.channels / 4 : e.channels);
  const dim3 grid(blocks_for(threads, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("sums", 1, [=](const TaskContext&) {
    if (packs) {
      launch(norm_sums_kernel<Backward, 4>, grid, dim3(kThreads), 0, stream, in, sums, e);
    } else {
      launch(norm_sums_kernel<Backward, 1>, grid, dim3(kThreads), 0, stream, in, sums, e);
    }
  });
}

Strided<const float> read_only(const Strided<float>& t) { return {t.data, t.stride}; }

}  // namespace

void record_batch_norm_cuda(Recorder& recorder, const BoundNode& node) {
  const auto attrs = node.attrs<BatchNormAttrs>();
  const auto x = strided<const float>(node.in[0]);
  const auto y = strided<float>(node.out[0]), mean = strided<float>(node.out[1]), inv_std = strided<float>(node.out[2]);
  const auto running_mean = strided<float>(node.in[3]), running_var = strided<float>(node.in[4]);
  const auto sums = strided<NormSums>(node.workspace);
  const Extent e = extent_of(node.in[0]);
  const bool packs = e.channels % 4 == 0 && packs_are_aligned(x) && packs_are_aligned(y);
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  if (!attrs.frozen) record_sums<false>(recorder, {x, {}, {}, {}}, sums, e, packs);
  recorder.launch("statistics", 1, [=](const TaskContext&) {
    launch(norm_statistics_kernel, dim3(blocks_for(e.channels, kThreads / kWarp), replicas), dim3(kThreads), 0, stream,
           Strided<const NormSums>{sums.data, sums.stride}, e, attrs, mean, inv_std, running_mean, running_var);
  });
  const Parameters p{read_only(mean),
                     read_only(inv_std),
                     strided<const float>(node.in[1]),
                     strided<const float>(node.in[2]),
                     {},
                     {},
                     0.0f};
  const Index n = node.in[0].elements();
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(norm_apply_kernel<false>, dim3(blocks_for(packs ? n / 4 : n, kThreads), replicas), dim3(kThreads), 0, stream,
           x, Strided<const float>{}, y, p, e.channels, n, packs);
  });
}

void record_batch_norm_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const auto x = strided<const float>(node.in[0]), dy = strided<const float>(node.in[1]);
  const auto gamma = strided<const float>(node.in[2]), mean = strided<const float>(node.in[3]);
  const auto inv_std = strided<const float>(node.in[4]);
  const auto dx = strided<float>(node.out[0]), dgamma = strided<float>(node.out[1]),
             dbeta = strided<float>(node.out[2]);
  const auto sums = strided<NormSums>(node.workspace);
  const Extent e = extent_of(node.in[0]);
  const bool packs = e.channels % 4 == 0 && packs_are_aligned(x) && packs_are_aligned(dy) && packs_are_aligned(dx);
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  record_sums<true>(recorder, {x, dy, mean, inv_std}, sums, e, packs);
  recorder.launch("parameters", 1, [=](const TaskContext&) {
    launch(norm_parameters_kernel, dim3(blocks_for(e.channels, kThreads / kWarp), replicas), dim3(kThreads), 0, stream,
           Strided<const NormSums>{sums.data, sums.stride}, e, dgamma, dbeta);
  });
  const float share = node.attrs<BatchNormAttrs>().frozen ? 0.0f : 1.0f / static_cast<float>(e.pixels);
  const Parameters p{mean, inv_std, gamma, {}, read_only(dgamma), read_only(dbeta), share};
  const Index n = node.in[0].elements();
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(norm_apply_kernel<true>, dim3(blocks_for(packs ? n / 4 : n, kThreads), replicas), dim3(kThreads), 0, stream,
           x, dy, dx, p, e.channels, n, packs);
  });
}

}  // namespace gridstep
