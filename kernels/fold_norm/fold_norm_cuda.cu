#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/lane_sum.h"
#include "kernels/fold_norm/fold_norm.h"

namespace gridstep {
namespace {

constexpr int kThreads = 128;

struct FoldArguments {
  Strided<const float> w, gamma, beta, mean, var, bias;  // null data: no bias
  Strided<float> scaled, new_bias;
  Index row;  // elements of a filter
  int channels;
  bool single;  // one w for all
  float eps;
};

// A warp per channel. It runs once before many steps: no care for its speed beyond whole lines.
__global__ void __launch_bounds__(kThreads) fold_norm_kernel(const __grid_constant__ FoldArguments a) {
  const unsigned r = blockIdx.y;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int k = static_cast<int>(blockIdx.x) * (kThreads / kWarp) + warp;
  if (k >= a.channels) return;
  const FoldChannel fold(a.gamma.at(r)[k], a.beta.at(r)[k], a.mean.at(r)[k], a.var.at(r)[k],
                         a.bias.data != nullptr ? a.bias.at(r)[k] : 0.0f, a.eps);
  if (lane == 0) a.new_bias.at(r)[k] = fold.bias;
  const float* const w = a.w.at(r) + (a.single ? 0 : k * a.row);
  float* const scaled = a.scaled.at(r) + k * a.row;
  for (Index i = lane; i < a.row; i += kWarp) scaled[i] = fold.scaled(w[i]);
}

}  // namespace

void record_fold_norm_cuda(Recorder& recorder, const BoundNode& node) {
  const FoldTensors t = fold_tensors(node);
  FoldArguments a{};
  a.w = strided<const float>(t.w);
  a.gamma = strided<const float>(t.gamma);
  a.beta = strided<const float>(t.beta);
  a.mean = strided<const float>(t.mean);
  a.var = strided<const float>(t.var);
  a.bias = strided<const float>(t.bias);
  a.scaled = strided<float>(t.scaled);
  a.new_bias = strided<float>(t.new_bias);
  a.channels = static_cast<int>(t.gamma.elements());
  a.row = t.scaled.elements() / a.channels;
  a.single = t.w.elements() == 1;
  a.eps = node.attrs<FoldNormAttrs>().eps;
  const dim3 grid(blocks_for(a.channels, kThreads / kWarp), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) { launch(fold_norm_kernel, grid, dim3(kThreads), 0, stream, a); });
}

}  // namespace gridstep
