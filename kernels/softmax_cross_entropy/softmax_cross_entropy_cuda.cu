#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/softmax_cross_entropy/softmax_math.h"

namespace gridstep {
namespace {

constexpr int kSamplesPerBlock = 4;
constexpr int kThreads = kSamplesPerBlock * kWarp;
constexpr unsigned kAll = 0xffffffffu;

// In every lane; NaN if any logit is.
__device__ __forceinline__ float largest_of(const float* x, int classes) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float largest = x[lane < classes ? lane : 0];
  for (int k = lane + kWarp; k < classes; k += kWarp) largest = x[k] > largest || strict::is_nan(x[k]) ? x[k] : largest;
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) {
    const float other = __shfl_xor_sync(kAll, largest, half);
    largest = other > largest || strict::is_nan(other) ? other : largest;
  }
  return largest;
}

// In every lane: both halves of an exchange add the same two numbers.
__device__ __forceinline__ SoftmaxLane sum_classes(const float* x, int classes, float largest, float of_label,
                                                   int label) {
  SoftmaxLane sum;
  for (int k = static_cast<int>(threadIdx.x) % kWarp; k < classes; k += kWarp) {
    sum.add(x[k], k, largest, of_label, label);
  }
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) {
    SoftmaxLane other;
    other.exps = __shfl_xor_sync(kAll, sum.exps, half);
    other.sum = __shfl_xor_sync(kAll, sum.sum, half);
    other.before = __shfl_xor_sync(kAll, sum.before, half);
    sum.add(other);
  }
  return sum;
}

// A warp per sample; warps beyond the last repeat it and write nothing, so that all lanes meet in every exchange.
struct Sample {
  Index index;
  bool exists;
};
__device__ __forceinline__ Sample own_sample(Index n) {
  const Index index = static_cast<Index>(blockIdx.x) * kSamplesPerBlock + static_cast<Index>(threadIdx.x) / kWarp;
  return {index < n ? index : n - 1, index < n};
}

__global__ void __launch_bounds__(kThreads)
    softmax_loss_kernel(Strided<const float> logits, Strided<const std::int32_t> labels, Strided<SampleLoss> samples,
                        SmoothedTarget target, Index n, int classes) {
  const Sample sample = own_sample(n);
  const float* const x = logits.at(blockIdx.y) + sample.index * classes;
  const int label = labels.at(blockIdx.y)[sample.index];
  const bool known = label >= 0 && label < classes;
  const float of_label = x[known ? label : 0], largest = largest_of(x, classes);
  const SoftmaxLane sum = sum_classes(x, classes, largest, of_label, label);
  if (sample.exists && threadIdx.x % kWarp == 0) {
    samples.at(blockIdx.y)[sample.index] = sample_loss(sum, largest, of_label, known, target);
  }
}

__global__ void __launch_bounds__(kTreeThreads)
    softmax_mean_kernel(Strided<const SampleLoss> samples, Strided<double> loss, Strided<double> correct, Index n,
                        const StepParams* params, ReplicaStatus* status, int node_index) {
  const unsigned replica = blockIdx.x;
  const SampleLoss* const s = samples.at(replica);
  const double sum = block_lane_sum(n, [=](Index i) { return s[i].loss; });
  const double first = block_lane_sum(n, [=](Index i) { return s[i].rank < 1 ? 1.0 : 0.0; });
  const double five = block_lane_sum(n, [=](Index i) { return s[i].rank < 5 ? 1.0 : 0.0; });
  if (threadIdx.x == 0) {
    finish_cross_entropy(sum, first, five, static_cast<double>(n), loss.at(replica), correct.at(replica),
                         status[replica], params[replica].step, node_index);
  }
}

__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(Strided<const float> logits, Strided<const std::int32_t> labels, Strided<float> dx,
                            SmoothedTarget target, float inv_count, Index n, int classes) {
  const Sample sample = own_sample(n);
  const float* const x = logits.at(blockIdx.y) + sample.index * classes;
  const float largest = largest_of(x, classes);
  const float log_z = log_partition(largest, sum_classes(x, classes, largest, 0.0f, 0).exps);
  if (!sample.exists) return;
  const int label = labels.at(blockIdx.y)[sample.index];
  float* const d = dx.at(blockIdx.y) + sample.index * classes;
  for (int k = static_cast<int>(threadIdx.x) % kWarp; k < classes; k += kWarp) {
    d[k] = target.gradient(x[k], log_z, k == label, inv_count);
  }
}

}  // namespace

void record_softmax_cross_entropy_cuda(Recorder& recorder, const BoundNode& node) {
  const auto logits = strided<const float>(node.in[0]);
  const auto labels = strided<const std::int32_t>(node.in[1]);
  const auto samples = strided<SampleLoss>(node.workspace);
  const auto loss = strided<double>(node.out[0]), correct = strided<double>(node.out[1]);
  const Index n = node.in[0].shape[0];
  const auto classes = static_cast<int>(node.in[0].shape[node.in[0].shape.rank() - 1]);
  const SmoothedTarget target = smoothed_target(node.attrs<SoftmaxCrossEntropyAttrs>().smoothing, classes);
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(softmax_loss_kernel, dim3(blocks_for(n, kSamplesPerBlock), replicas), dim3(kThreads), 0, stream, logits,
           labels, samples, target, n, classes);
  });
  recorder.launch(
      "mean", 1,
      [=, params = recorder.params(), status = recorder.status(), index = recorder.node_index()](const TaskContext&) {
        launch(softmax_mean_kernel, dim3(replicas), dim3(kTreeThreads), 0, stream,
               Strided<const SampleLoss>{samples.data, samples.stride}, loss, correct, n, params, status, index);
      });
}

void record_softmax_cross_entropy_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const auto logits = strided<const float>(node.in[0]);
  const auto labels = strided<const std::int32_t>(node.in[1]);
  const auto dx = strided<float>(node.out[0]);
  const Index n = node.in[0].shape[0];
  const auto classes = static_cast<int>(node.in[0].shape[node.in[0].shape.rank() - 1]);
  const SmoothedTarget target = smoothed_target(node.attrs<SoftmaxCrossEntropyAttrs>().smoothing, classes);
  const auto inv_count = static_cast<float>(1.0 / static_cast<double>(n));
  const dim3 grid(blocks_for(n, kSamplesPerBlock), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch("", 1, [=](const TaskContext&) {
    launch(softmax_backward_kernel, grid, dim3(kThreads), 0, stream, logits, labels, dx, target, inv_count, n, classes);
  });
}

}  // namespace gridstep
