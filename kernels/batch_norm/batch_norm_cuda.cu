#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/batch_norm/norm_blocks.cuh"
#include "kernels/batch_norm/norm_sums.h"
#include "kernels/quantize/quantize.cuh"

namespace gridstep {
namespace {

// Sums of the pixels of one block for V neighbouring channels: a thread each, so that a warp reads whole lines.
template <int V>
__global__ void __launch_bounds__(kNormThreads)
    norm_sums_kernel(Strided<const float> in, Strided<NormSums> sums, NormExtent e) {
  const int groups = e.channels / V;
  const Index thread = static_cast<Index>(blockIdx.x) * kNormThreads + static_cast<Index>(threadIdx.x);
  const Index block = thread / groups;
  if (block >= e.blocks()) return;
  const int channel = static_cast<int>(thread % groups) * V;
  NormSums own[V];
  const Index first = block * kNormBlock;
  const int pixels = static_cast<int>(e.pixels - first < kNormBlock ? e.pixels - first : kNormBlock);
  const float* x = in.at(blockIdx.y) + first * e.channels + channel;
#pragma unroll 4
  for (int p = 0; p < pixels; ++p, x += e.channels) {
    const Pack4<float> values = load_up_to4(x, 0, V, V == 4);
#pragma unroll
    for (int v = 0; v < V; ++v) own[v].add_value(values.v[v]);
  }
  NormSums* const to = sums.at(blockIdx.y) + block * e.channels + channel;
#pragma unroll
  for (int v = 0; v < V; ++v) to[v] = own[v];
}

struct StatisticsArguments {
  Strided<const NormSums> sums;
  NormExtent extent;
  float eps, momentum;
  bool frozen;
  Strided<float> mean, inv_std, running_mean, running_var;
};

__global__ void __launch_bounds__(kNormThreads) norm_statistics_kernel(const __grid_constant__ StatisticsArguments a) {
  const NormColumn c(a.extent.channels);
  const unsigned r = blockIdx.y;
  if (a.frozen) {
    if (!c.writes) return;
    a.mean.at(r)[c.channel] = a.running_mean.at(r)[c.channel];
    a.inv_std.at(r)[c.channel] = inverse_deviation(static_cast<double>(a.running_var.at(r)[c.channel]), a.eps);
    return;
  }
  const NormSums own = add_own_blocks(a.sums.at(r), a.extent, c);
  double total[2] = {own.first, own.second};
  fold_lanes(total);
  if (!c.writes) return;
  finish_statistics({total[0], total[1]}, static_cast<double>(a.extent.pixels), a.eps, a.momentum,
                    a.mean.at(r)[c.channel], a.inv_std.at(r)[c.channel], a.running_mean.at(r)[c.channel],
                    a.running_var.at(r)[c.channel]);
}

// Null data: absent.
struct ApplyArguments {
  Strided<const float> x, mean, inv_std, gamma, beta, residual;
  Strided<float> y;
  float zero;  // norm_math.h
  bool quantized;
  CodeTarget codes;
  Strided<const float> parameter;
  Strided<float> step;
  StepForm form;
  int channels;
  Index n;
  bool packs;  // every pixel begins at a pack of four channels
  const StepParams* params;
  ReplicaStatus* status;
  int node_index;
};

__global__ void __launch_bounds__(kNormThreads) norm_apply_kernel(const __grid_constant__ ApplyArguments a) {
  const unsigned r = blockIdx.y;
  const Index thread = static_cast<Index>(blockIdx.x) * kNormThreads + static_cast<Index>(threadIdx.x);
  const float step = a.quantized ? step_value(*a.parameter.at(r), a.form) : 0.0f;
  if (a.quantized && thread == 0) *a.step.at(r) = step;
  const Index at = thread * (a.packs ? 4 : 1);
  if (at >= a.n) return;
  const int first = static_cast<int>(at % a.channels);
  const Index end = a.packs ? at + 4 : at + 1;
  Pack4<float> values = load_up_to4(a.x.at(r), at, end, a.packs);
  Pack4<float> residual{};
  if (a.residual.data != nullptr) residual = load_up_to4(a.residual.at(r), at, end, a.packs);
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    if (at + v >= end) break;
    const int c = first + v;
    float y = NormApply{a.mean.at(r)[c], a.inv_std.at(r)[c] * a.gamma.at(r)[c], a.beta.at(r)[c]}(values.v[v]);
    if (a.residual.data != nullptr) y = y + residual.v[v];
    values.v[v] = norm_relu(y, a.zero);
  }
  if (a.y.data != nullptr) store_up_to4(a.y.at(r), at, end, a.packs, values);
  if (!a.quantized) return;
  bool bad = false;
  store_codes(a.codes, r, at, end - at, a.packs, values, step, bad);
  if (bad) note_fault(a.status[r], a.params[r].step, a.node_index);
}

StatisticsArguments statistics_arguments(const NormTensors& t, const BatchNormAttrs& attrs) {
  StatisticsArguments a{};
  a.sums = strided<const NormSums>(t.sums);
  a.extent = norm_extent(t.x);
  a.eps = attrs.eps;
  a.momentum = attrs.momentum;
  a.frozen = attrs.frozen;
  a.mean = strided<float>(t.mean);
  a.inv_std = strided<float>(t.inv_std);
  a.running_mean = strided<float>(t.running_mean);
  a.running_var = strided<float>(t.running_var);
  return a;
}

ApplyArguments apply_arguments(const Recorder& recorder, const NormTensors& t, const BatchNormAttrs& attrs) {
  ApplyArguments a{};
  a.x = strided<const float>(t.x);
  a.mean = strided<const float>(t.mean);
  a.inv_std = strided<const float>(t.inv_std);
  a.gamma = strided<const float>(t.gamma);
  a.beta = strided<const float>(t.beta);
  a.residual = strided<const float>(t.residual);
  a.y = strided<float>(t.y);
  a.zero = relu_zero(attrs.relu);
  a.channels = static_cast<int>(t.x.shape[3]);
  a.n = t.x.elements();
  a.packs = a.channels % 4 == 0 && packs_are_aligned(a.x) && packs_are_aligned(a.y) && packs_are_aligned(a.residual);
  if (attrs.quantize) {
    a.quantized = true;
    a.codes = code_target(*attrs.quantize, t.codes);
    a.packs = a.packs && a.codes.packs;
    a.parameter = strided<const float>(t.parameter);
    a.step = strided<float>(t.step);
    a.form = attrs.quantize->form;
  }
  a.params = recorder.params();
  a.status = recorder.status();
  a.node_index = recorder.node_index();
  return a;
}

}  // namespace

void record_norm_sums_cuda(Recorder& recorder, const Tensor& x, const Tensor& sums) {
  const NormExtent e = norm_extent(x);
  const auto from = strided<const float>(x);
  const auto to = strided<NormSums>(sums);
  const bool packs = e.channels % 4 == 0 && packs_are_aligned(from);
  const dim3 grid(blocks_for(e.blocks() * (packs ? e.channels / 4 : e.channels), kNormThreads),
                  static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("sums", 1, [=](const TaskContext&) {
    if (packs) {
      launch(norm_sums_kernel<4>, grid, dim3(kNormThreads), 0, stream, from, to, e);
    } else {
      launch(norm_sums_kernel<1>, grid, dim3(kNormThreads), 0, stream, from, to, e);
    }
  });
}

void record_batch_norm_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<BatchNormAttrs>();
  const NormTensors t = norm_tensors(node);
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  if (!attrs.frozen && !attrs.sums_given) record_norm_sums_cuda(recorder, t.x, t.sums);
  const StatisticsArguments statistics = statistics_arguments(t, attrs);
  recorder.launch("statistics", 1, [=](const TaskContext&) {
    launch(norm_statistics_kernel, dim3(blocks_for(statistics.extent.channels, kNormColumns), replicas),
           dim3(kNormThreads), 0, stream, statistics);
  });
  const ApplyArguments apply = apply_arguments(recorder, t, attrs);
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(norm_apply_kernel, dim3(blocks_for(apply.packs ? apply.n / 4 : apply.n, kNormThreads), replicas),
           dim3(kNormThreads), 0, stream, apply);
  });
}

}  // namespace gridstep
