#include "kernels/common/elementwise.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/image_loss/image_loss_math.h"

namespace gridstep {
namespace {

constexpr int kPacksPerThread = static_cast<int>(kTreeBlock) / kTreeLanes;

// One block sums kTreeBlock terms in the order of lane_sum: a thread's lanes are the elements of its packs.
template <class L>
__global__ void __launch_bounds__(kTreeThreads)
    loss_sums_kernel(Strided<const float> prediction, Strided<const std::uint8_t> target, Strided<double> partial,
                     bool packs, Index n) {
  const Index first = static_cast<Index>(blockIdx.x) * kTreeBlock;
  const float* const p = prediction.at(blockIdx.y) + first;
  const std::uint8_t* const t = target.at(blockIdx.y) + first;
  double sum;
  if (packs && first + kTreeBlock <= n) {
    Pack4<float> p4[kPacksPerThread];
    Pack4<std::uint8_t> t4[kPacksPerThread];
#pragma unroll
    for (int k = 0; k < kPacksPerThread; ++k) {
      p4[k] = load4(p, k * kTreeThreads + static_cast<Index>(threadIdx.x));
      t4[k] = load4(t, k * kTreeThreads + static_cast<Index>(threadIdx.x));
    }
    LaneSums sums;
#pragma unroll
    for (int k = 0; k < kPacksPerThread; ++k) {
#pragma unroll
      for (int l = 0; l < kLanesPerThread; ++l) {
        sums.lane[l] += static_cast<double>(LossValue<L>{}(p4[k].v[l], t4[k].v[l]));
      }
    }
    sum = block_sum(sums.fold());
  } else {
    sum = block_lane_sum(n - first < kTreeBlock ? n - first : kTreeBlock,
                         [=](Index i) { return LossValue<L>{}(p[i], t[i]); });
  }
  if (threadIdx.x == 0) partial.at(blockIdx.y)[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kTreeThreads)
    loss_mean_kernel(Strided<const double> partial, Strided<double> loss, Index n, const StepParams* params,
                     ReplicaStatus* status, int node_index) {
  const unsigned replica = blockIdx.x;
  const double* const sums = partial.at(replica);
  const double sum = block_lane_sum(tree_blocks(n), [=](Index i) { return sums[i]; });
  if (threadIdx.x == 0)
    finish_loss(sum, static_cast<double>(n), loss.at(replica), status[replica], params[replica].step, node_index);
}

}  // namespace

void record_image_loss_cuda(Recorder& recorder, const BoundNode& node) {
  const auto prediction = strided<const float>(node.in[0]);
  const auto target = strided<const std::uint8_t>(node.in[1]);
  const auto partial = strided<double>(node.workspace);
  const auto loss = strided<double>(node.out[0]);
  const Index n = node.in[0].elements();
  const bool packs = packs_are_aligned(prediction) && packs_are_aligned(target);
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const cudaStream_t stream = cuda_stream(recorder.device());
  visit_loss(node.attrs<ImageLossAttrs>().kind, [&]<class L>(L) {
    const dim3 grid(static_cast<unsigned>(tree_blocks(n)), replicas);
    recorder.launch("", 1, [=](const TaskContext&) {
      launch(loss_sums_kernel<L>, grid, dim3(kTreeThreads), 0, stream, prediction, target, partial, packs, n);
    });
  });
  recorder.launch(
      "mean", 1,
      [=, params = recorder.params(), status = recorder.status(), index = recorder.node_index()](const TaskContext&) {
        launch(loss_mean_kernel, dim3(replicas), dim3(kTreeThreads), 0, stream,
               Strided<const double>{partial.data, partial.stride}, loss, n, params, status, index);
      });
}

void record_image_loss_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const float inv_count = static_cast<float>(1.0 / static_cast<double>(node.out[0].elements()));
  visit_loss(node.attrs<ImageLossAttrs>().kind, [&]<class L>(L) {
    record_elementwise_cuda<float, float, std::uint8_t>(recorder, node, LossGradient<L>{inv_count});
  });
}

}  // namespace gridstep
