#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/ssim/ssim.h"
#include "kernels/ssim/ssim_math.h"

namespace gridstep {
namespace {

struct Arguments {
  Strided<const std::uint8_t> a, b;  // (1, H, W, 3)
  Strided<double> partial;           // (kSsimPlanes, H)
  Strided<double> out;               // (2)
  SsimAreas areas;
  SsimWindow window;
};

// One window: along each row first, then over the rows, in the order of the CPU. Not inlined: block_lane_sum has it
// four times.
[[gnu::noinline]] __device__ double window_ssim(const Arguments& arguments, const std::uint8_t* a,
                                                const std::uint8_t* b, int plane) {
  const Index row_bytes = arguments.areas.rgb.width * 3;
  SsimMoments sums{};
  for (int i = 0; i < kSsimTaps; ++i) {
    SsimMoments row{};
    for (int j = 0; j < kSsimTaps; ++j) {
      const double va = ssim_plane(a + i * row_bytes + j * 3, plane), vb = ssim_plane(b + i * row_bytes + j * 3, plane);
      const double w = arguments.window.weight[j];
      row.v[0] += w * va;
      row.v[1] += w * vb;
      row.v[2] += w * (va * va);
      row.v[3] += w * (vb * vb);
      row.v[4] += w * (va * vb);
    }
#pragma unroll
    for (int m = 0; m < kSsimMoments; ++m) sums.v[m] += arguments.window.weight[i] * row.v[m];
  }
  return ssim_at(sums);
}

// A block per (row of windows, plane, replica).
__global__ void __launch_bounds__(kTreeThreads) ssim_rows_kernel(const __grid_constant__ Arguments arguments) {
  const Index row = blockIdx.x;
  const int plane = static_cast<int>(blockIdx.y);
  if (row >= arguments.areas.rows(plane)) return;
  const CroppedArea& area = arguments.areas.of(plane);
  const Index first = ((area.crop + row) * area.width + area.crop) * 3;
  const std::uint8_t* const a = arguments.a.at(blockIdx.z) + first;
  const std::uint8_t* const b = arguments.b.at(blockIdx.z) + first;
  const double sum = block_lane_sum(arguments.areas.columns(plane),
                                    [&](Index i) { return window_ssim(arguments, a + i * 3, b + i * 3, plane); });
  if (threadIdx.x == 0) arguments.partial.at(blockIdx.z)[plane * area.height + row] = sum;
}

__global__ void __launch_bounds__(kTreeThreads) ssim_mean_kernel(const __grid_constant__ Arguments arguments) {
  double sums[kSsimPlanes];
#pragma unroll
  for (int plane = 0; plane < kSsimPlanes; ++plane) {
    const double* const rows = arguments.partial.at(blockIdx.x) + plane * arguments.areas.rgb.height;
    sums[plane] = block_lane_sum(arguments.areas.rows(plane), [=](Index i) { return rows[i]; });
  }
  if (threadIdx.x == 0) finish_ssim(sums, arguments.areas, arguments.out.at(blockIdx.x));
}

}  // namespace

void record_ssim_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<SsimAttrs>();
  const Index height = node.in[0].shape[1], width = node.in[0].shape[2];
  const Arguments arguments{strided<const std::uint8_t>(node.in[0]),
                            strided<const std::uint8_t>(node.in[1]),
                            strided<double>(node.workspace),
                            strided<double>(node.out[0]),
                            {{height, width, attrs.rgb_crop}, {height, width, attrs.y_crop}},
                            make_ssim_window()};
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const dim3 grid(static_cast<unsigned>(SsimAreas::positions(height)), kSsimPlanes, replicas);
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch(
      "", 1, [=](const TaskContext&) { launch(ssim_rows_kernel, grid, dim3(kTreeThreads), 0, stream, arguments); });
  recorder.launch("mean", 1, [=](const TaskContext&) {
    launch(ssim_mean_kernel, dim3(replicas), dim3(kTreeThreads), 0, stream, arguments);
  });
}

}  // namespace gridstep
