#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "kernels/auto_augment/auto_augment_math.h"

namespace gridstep {
namespace {

constexpr int kThreads = 256;  // one for each code

struct Arguments {
  Strided<const std::uint8_t> x;
  Strided<std::uint8_t> y;
  const StepParams* params;
  int side;
  bool packs;  // images begin at multiples of four bytes
  AugmentPlan plan;
};
static_assert(sizeof(Arguments) <= 4096, "arguments of a kernel");

// What is known of a whole image.
struct ImageTables {
  std::uint32_t bins[3][256];
  CodeCounts counts[3];
  std::uint32_t gray;
  std::uint8_t map[3][256];
};

constexpr int kImageBytes = (3 * kMaxAugmentSide * kMaxAugmentSide + 3) / 4 * 4;
static_assert(2 * kImageBytes + sizeof(ImageTables) + sizeof(AugmentDraw) <= 48 * 1024, "shared memory without opt-in");

// Fills the map of an operation that maps codes, for the image in `from`. Ends in front of a barrier.
__device__ __forceinline__ void make_map(AugmentKind kind, const AugmentStep& step, const std::uint8_t* from, int side,
                                         ImageTables& tables) {
  const int pixels = side * side, thread = static_cast<int>(threadIdx.x);
  int mean = 0;
  if (counts_codes(kind)) {
    for (int c = 0; c < 3; ++c) tables.bins[c][thread] = 0;
    __syncthreads();
    for (int i = thread; i < 3 * pixels; i += kThreads) atomicAdd(&tables.bins[i % 3][from[i]], 1u);
    __syncthreads();
    // Threads of different warps.
    if (thread % 32 == 0 && thread < 96) tables.counts[thread / 32] = summed_counts(tables.bins[thread / 32]);
    __syncthreads();
  } else if (kind == AugmentKind::kContrast) {
    if (thread == 0) tables.gray = 0;
    __syncthreads();
    std::uint32_t sum = 0;
    for (int i = thread; i < pixels; i += kThreads) sum += gray_of(from + 3 * i);
    atomicAdd(&tables.gray, sum);
    __syncthreads();
    mean = rounded_mean(tables.gray, side);
  }
  const bool counted = counts_codes(kind);
  for (int c = 0; c < 3; ++c) {
    const std::uint32_t below = counted ? tables.bins[c][thread] : 0;
    tables.map[c][thread] = mapped(kind, step, thread, below, counted ? tables.counts[c] : CodeCounts{}, mean);
  }
}

// Blocks (sample, 1, replica): the image in shared memory, from one copy to the other.
__global__ void __launch_bounds__(kThreads) auto_augment_kernel(const __grid_constant__ Arguments a) {
  DYN_SHARED(std::uint8_t, images);
  SHARED(tables, ImageTables);
  SHARED(draw, AugmentDraw);
  const Index sample = blockIdx.x;
  const unsigned replica = blockIdx.z;
  const int side = a.side, bytes = 3 * side * side, thread = static_cast<int>(threadIdx.x);
  const int copy = (bytes + 3) / 4 * 4;
  if (thread == 0) draw = draw_augment(a.plan, a.params[replica], sample);
  const std::uint8_t* const x = a.x.at(replica) + sample * bytes;
  for (int i = 4 * thread; i < bytes; i += 4 * kThreads) store4(images + i, 0, load_up_to4(x, i, bytes, a.packs));
  __syncthreads();
  int current = 0;
  for (int s = 0; s < 2; ++s) {
    if (!draw.applied[s]) continue;
    const AugmentOption& option = a.plan.options[draw.sub_policy][s];
    const AugmentStep& step = option.step[draw.positive[s] ? 1 : 0];
    const std::uint8_t* const from = images + current * copy;
    std::uint8_t* const to = images + (1 - current) * copy;
    if (maps_codes(option.kind)) make_map(option.kind, step, from, side, tables);
    __syncthreads();
    for (int p = thread; p < side * side; p += kThreads)
      write_augmented(option.kind, step, tables.map, from, p / side, p % side, side, to + 3 * p);
    __syncthreads();
    current = 1 - current;
  }
  std::uint8_t* const y = a.y.at(replica) + sample * bytes;
  for (int i = 4 * thread; i < bytes; i += 4 * kThreads)
    store_up_to4(y, i, bytes, a.packs, load4(images + current * copy + i, 0));
}

}  // namespace

void record_auto_augment_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor &x = node.in[0], &y = node.out[0];
  const int side = static_cast<int>(x.shape[1]);
  Arguments arguments{strided<const std::uint8_t>(x),
                      strided<std::uint8_t>(y),
                      recorder.params(),
                      side,
                      false,
                      augment_plan(node.attrs<AutoAugmentAttrs>(), side)};
  arguments.packs = side % 2 == 0 && packs_are_aligned(arguments.x) && packs_are_aligned(arguments.y);
  const auto shared = static_cast<std::size_t>(2 * ((3 * side * side + 3) / 4 * 4));
  const dim3 grid(static_cast<unsigned>(x.shape[0]), 1, static_cast<unsigned>(recorder.replicas()));
  const cudaStream_t stream = cuda_stream(recorder.device());
  recorder.launch(
      "", 1, [=](const TaskContext&) { launch(auto_augment_kernel, grid, dim3(kThreads), shared, stream, arguments); });
}

}  // namespace gridstep
