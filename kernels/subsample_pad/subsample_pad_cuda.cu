#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/subsample_pad/subsample_pad.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

struct Arguments {
  Strided<const float> in;
  Strided<float> out;
  SubsampleShape shape;
  Index n;                  // elements of out
  Index in_size, out_size;  // of a sample
};

// A thread per value that is written.
template <bool kBackward>
__global__ void __launch_bounds__(kThreads) subsample_pad_kernel(const __grid_constant__ Arguments a) {
  const Index i = static_cast<Index>(blockIdx.x) * kThreads + static_cast<Index>(threadIdx.x);
  if (i >= a.n) return;
  const Index sample = i / a.out_size, within = i % a.out_size;
  const Index at = kBackward ? a.shape.target(within) : a.shape.source(within);
  a.out.at(blockIdx.y)[i] = at < 0 ? 0.0f : __ldg(a.in.at(blockIdx.y) + sample * a.in_size + at);
}

template <bool kBackward>
void record(Recorder& recorder, const Tensor& in, const Tensor& out, const SubsampleShape& shape) {
  const Index n = out.shape.elements(), samples = out.shape[0];
  const Arguments a{strided<const float>(in),      strided<float>(out), shape, n,
                    in.shape.elements() / samples, n / samples};
  const dim3 grid(blocks_for(n, kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch(
      "", 1, [=](const TaskContext&) { launch(subsample_pad_kernel<kBackward>, grid, dim3(kThreads), 0, stream, a); });
}

}  // namespace

void record_subsample_pad_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor &x = node.in[0], &y = node.out[0];
  record<false>(recorder, x, y, subsample_shape(x.shape, y.shape, node.attrs<SubsamplePadAttrs>()));
}

void record_subsample_pad_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor &dy = node.in[0], &dx = node.out[0];
  record<true>(recorder, dy, dx, subsample_shape(dx.shape, dy.shape, node.attrs<SubsamplePadAttrs>()));
}

}  // namespace gridstep
