#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/status.h"
#include "kernels/pixels_from_float/pixels_from_float.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ std::uint8_t convert(float x, bool& nan) {
  nan = nan || strict::is_nan(x);
  return PixelsFromFloat{}(x);
}

// Threads below `packs` handle four elements each, the others the rest one by one.
__global__ void __launch_bounds__(kThreads)
    pixels_from_float_kernel(Strided<const float> in, Strided<std::uint8_t> out, Index packs, Index n,
                             const StepParams* params, ReplicaStatus* status, int node_index) {
  const Index thread = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  const unsigned replica = blockIdx.y;
  bool nan = false;
  if (thread < packs) {
    const Pack4<float> x = load4(in.at(replica), thread);
    Pack4<std::uint8_t> y;
#pragma unroll
    for (int l = 0; l < 4; ++l) y.v[l] = convert(x.v[l], nan);
    store4(out.at(replica), thread, y);
  } else if (const Index i = packs * 4 + (thread - packs); i < n) {
    out.at(replica)[i] = convert(in.at(replica)[i], nan);
  }
  if (nan) note_fault(status[replica], params[replica].step, node_index);
}

}  // namespace

void record_pixels_from_float_cuda(Recorder& recorder, const BoundNode& node) {
  const auto in = strided<const float>(node.in[0]);
  const auto out = strided<std::uint8_t>(node.out[0]);
  const Index n = node.out[0].elements(), packs = packs_are_aligned(in) && packs_are_aligned(out) ? n / 4 : 0;
  const dim3 grid(blocks_for(packs + (n - packs * 4), kThreads), static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch(
      "", 1,
      [=, params = recorder.params(), status = recorder.status(), index = recorder.node_index()](const TaskContext&) {
        launch(pixels_from_float_kernel, grid, dim3(kThreads), 0, stream, in, out, packs, n, params, status, index);
      });
}

}  // namespace gridstep
