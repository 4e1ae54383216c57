#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_blocks.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/quantize/quantize.cuh"

namespace gridstep {
namespace {

// Null data: absent.
struct BackwardArguments {
  Strided<const float> x, dy, y, g;
  Strided<const float> mean, inv_std, gamma, beta, parameter, s0;
  Strided<float> dx, dgamma, dbeta, dresidual, dparameter;
  Strided<NormSums> sums;
  Strided<double> step_sums;
  float zero;   // norm_math.h
  float share;  // 1/M, or 0 where statistics are frozen
  StepForm form;
  float gradient_scale;
  CodeLimits limits;
  NormExtent extent;
  Index n;
  bool packs;  // every pixel begins at a pack of four channels
};

// Back through what follows the normalisation, for four values of neighbouring channels; `products`: what they add to
// the step's gradient.
template <bool kQuantized, GradientMask M>
struct Tail {
  const BackwardArguments& a;
  unsigned replica;
  float step;

  __device__ __forceinline__ Tail(const BackwardArguments& arguments, unsigned r)
      : a(arguments), replica(r), step(kQuantized ? step_value(*arguments.parameter.at(r), arguments.form) : 1.0f) {}

  __device__ __forceinline__ Pack4<float> run(const Pack4<float>& x, Index at, Index end, bool packs,
                                              const NormApply* apply, float* products) const {
    Pack4<float> y{}, dy{}, g{}, d{};
    if (a.y.data != nullptr) y = load_up_to4(a.y.at(replica), at, end, packs);
    if (a.dy.data != nullptr) dy = load_up_to4(a.dy.at(replica), at, end, packs);
    if constexpr (kQuantized) g = load_up_to4(a.g.at(replica), at, end, packs);
#pragma unroll
    for (int v = 0; v < 4; ++v) {
      const float value = a.y.data != nullptr ? y.v[v] : norm_relu(apply[v](x.v[v]), a.zero);
      float r = 0.0f;
      d.v[v] = norm_tail_gradient<kQuantized, M>(value, dy.v[v], g.v[v], a.zero, step, a.limits.n, a.limits.p, r);
      products[v] = g.v[v] * r;
    }
    return d;
  }
};

__device__ __forceinline__ NormApply norm_apply(const BackwardArguments& a, unsigned r, int c) {
  return {a.mean.at(r)[c], a.inv_std.at(r)[c] * a.gamma.at(r)[c], a.beta.at(r)[c]};
}

// All sums of one block of pixels for V neighbouring channels; the addition's gradient is stored on the way.
template <bool kQuantized, GradientMask M, int V>
__global__ void __launch_bounds__(kNormThreads) norm_gradient_sums_kernel(const __grid_constant__ BackwardArguments a) {
  const NormExtent& e = a.extent;
  const int groups = e.channels / V;
  const Index thread = static_cast<Index>(blockIdx.x) * kNormThreads + static_cast<Index>(threadIdx.x);
  const Index block = thread / groups;
  const unsigned r = blockIdx.y;
  if (block >= e.blocks()) return;
  const int channel = static_cast<int>(thread % groups) * V;
  NormApply apply[4] = {};
  float inv_std[V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    apply[v] = norm_apply(a, r, channel + v);
    inv_std[v] = a.inv_std.at(r)[channel + v];
  }
  const Tail<kQuantized, M> tail(a, r);
  NormSums own[V];
  double steps[V] = {};
  const Index first = block * kNormBlock;
  const Index last = first + kNormBlock < e.pixels ? first + kNormBlock : e.pixels;
#pragma unroll 1
  for (Index p = first; p < last; ++p) {
    const Index at = p * e.channels + channel;
    const Pack4<float> x = load_up_to4(a.x.at(r), at, at + V, V == 4);
    float products[4] = {};
    const Pack4<float> d = tail.run(x, at, at + V, V == 4, apply, products);
    if (a.dresidual.data != nullptr) store_up_to4(a.dresidual.at(r), at, at + V, V == 4, d);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      own[v].add_gradient(d.v[v], normalised(x.v[v], apply[v].mean, inv_std[v]));
      if constexpr (kQuantized) steps[v] += static_cast<double>(products[v]);
    }
  }
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const Index to = block * e.channels + channel + v;
    a.sums.at(r)[to] = own[v];
    if constexpr (kQuantized) a.step_sums.at(r)[to] = steps[v];
  }
}

// dgamma and dbeta; the step's sums of each channel over all blocks go to the first block's place.
__global__ void __launch_bounds__(kNormThreads) norm_parameters_kernel(const __grid_constant__ BackwardArguments a) {
  const NormExtent& e = a.extent;
  const NormColumn c(e.channels);
  const unsigned r = blockIdx.y;
  const NormSums own = add_own_blocks(a.sums.at(r), e, c);
  double total[3] = {own.first, own.second, 0.0};
  double* const steps = a.step_sums.data != nullptr ? a.step_sums.at(r) + c.channel : nullptr;
  if (steps != nullptr) {
    for (Index b = c.lane; b < e.blocks(); b += kWarp) total[2] += steps[b * e.channels];
  }
  fold_lanes(total);
  if (!c.writes) return;
  a.dbeta.at(r)[c.channel] = static_cast<float>(total[0]);
  a.dgamma.at(r)[c.channel] = static_cast<float>(total[1]);
  if (steps != nullptr) *steps = total[2];
}

// One block of a replica: the step's gradient from the channels' sums.
__device__ __forceinline__ void finish_step(const BackwardArguments& a, unsigned r, float step) {
  const double* const sums = a.step_sums.at(r);
  const double sum = block_lane_sum(a.extent.channels, [=](Index c) { return sums[c]; });
  if (threadIdx.x != 0) return;
  const float factor = step_factor(a.form, a.gradient_scale, step, *a.s0.at(r));
  *a.dparameter.at(r) = static_cast<float>(sum * static_cast<double>(factor));
}

template <bool kQuantized, GradientMask M>
__global__ void __launch_bounds__(kNormThreads) norm_gradient_kernel(const __grid_constant__ BackwardArguments a) {
  const unsigned r = blockIdx.y;
  const Tail<kQuantized, M> tail(a, r);
  if constexpr (kQuantized) {
    if (blockIdx.x == 0) finish_step(a, r, tail.step);
  }
  const Index at =
      (static_cast<Index>(blockIdx.x) * kNormThreads + static_cast<Index>(threadIdx.x)) * (a.packs ? 4 : 1);
  if (at >= a.n) return;
  const int first = static_cast<int>(at % a.extent.channels);
  const Index end = a.packs ? at + 4 : at + 1;
  Pack4<float> values = load_up_to4(a.x.at(r), at, end, a.packs), d{};
  if (a.dresidual.data != nullptr) {
    d = load_up_to4(static_cast<const float*>(a.dresidual.at(r)), at, end, a.packs);
  } else {
    NormApply apply[4];
#pragma unroll
    for (int v = 0; v < 4; ++v) apply[v] = norm_apply(a, r, at + v < end ? first + v : first);
    float products[4];
    d = tail.run(values, at, end, a.packs, apply, products);
  }
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    const int c = at + v < end ? first + v : first;
    values.v[v] = norm_gradient(a.mean.at(r)[c], a.inv_std.at(r)[c], a.gamma.at(r)[c], a.dbeta.at(r)[c] * a.share,
                                a.dgamma.at(r)[c] * a.share)(values.v[v], d.v[v]);
  }
  store_up_to4(a.dx.at(r), at, end, a.packs, values);
}

BackwardArguments backward_arguments(const NormBackwardTensors& t, const BatchNormAttrs& attrs) {
  BackwardArguments a{};
  a.x = strided<const float>(t.x);
  a.dy = strided<const float>(t.dy);
  a.y = strided<const float>(t.y);
  a.g = strided<const float>(t.g);
  a.mean = strided<const float>(t.mean);
  a.inv_std = strided<const float>(t.inv_std);
  a.gamma = strided<const float>(t.gamma);
  a.beta = strided<const float>(t.beta);
  a.parameter = strided<const float>(t.parameter);
  a.s0 = strided<const float>(t.s0);
  a.dx = strided<float>(t.dx);
  a.dgamma = strided<float>(t.dgamma);
  a.dbeta = strided<float>(t.dbeta);
  a.dresidual = strided<float>(t.dresidual);
  a.dparameter = strided<float>(t.dparameter);
  a.sums = strided<NormSums>(t.sums);
  a.step_sums = strided<double>(t.step_sums);
  a.zero = relu_zero(attrs.relu);
  a.extent = norm_extent(t.x);
  a.share = attrs.frozen ? 0.0f : 1.0f / static_cast<float>(a.extent.pixels);
  a.n = t.x.elements();
  a.packs = a.extent.channels % 4 == 0 && packs_are_aligned(a.x) && packs_are_aligned(a.dy) && packs_are_aligned(a.y) &&
            packs_are_aligned(a.g) && packs_are_aligned(a.dx) && packs_are_aligned(a.dresidual);
  if (attrs.quantize) {
    a.form = attrs.quantize->form;
    a.gradient_scale = attrs.quantize->gradient_scale;
    a.limits = code_limits(*attrs.quantize);
  }
  return a;
}

template <bool kQuantized, GradientMask M>
void record_backward(Recorder& recorder, const BackwardArguments& a) {
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("sums", 1, [=](const TaskContext&) {
    const Index threads = a.extent.blocks() * (a.packs ? a.extent.channels / 4 : a.extent.channels);
    const dim3 grid(blocks_for(threads, kNormThreads), replicas);
    if (a.packs) {
      launch(norm_gradient_sums_kernel<kQuantized, M, 4>, grid, dim3(kNormThreads), 0, stream, a);
    } else {
      launch(norm_gradient_sums_kernel<kQuantized, M, 1>, grid, dim3(kNormThreads), 0, stream, a);
    }
  });
  recorder.launch("parameters", 1, [=](const TaskContext&) {
    launch(norm_parameters_kernel, dim3(blocks_for(a.extent.channels, kNormColumns), replicas), dim3(kNormThreads), 0,
           stream, a);
  });
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(norm_gradient_kernel<kQuantized, M>, dim3(blocks_for(a.packs ? a.n / 4 : a.n, kNormThreads), replicas),
           dim3(kNormThreads), 0, stream, a);
  });
}

}  // namespace

void record_batch_norm_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<BatchNormAttrs>();
  const BackwardArguments a = backward_arguments(norm_backward_tensors(node), attrs);
  if (!attrs.quantize) return record_backward<false, GradientMask::kStrict>(recorder, a);
  switch (attrs.quantize->mask) {
    case GradientMask::kStrict:
      return record_backward<true, GradientMask::kStrict>(recorder, a);
    case GradientMask::kInclusive:
      return record_backward<true, GradientMask::kInclusive>(recorder, a);
    case GradientMask::kRounded:
      return record_backward<true, GradientMask::kRounded>(recorder, a);
  }
}

}  // namespace gridstep
