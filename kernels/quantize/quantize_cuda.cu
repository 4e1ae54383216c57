#include <algorithm>

#include "engine/device/cuda/cuda_device.h"
#include "kernels/common/reduce.cuh"
#include "kernels/quantize/quantize.cuh"
#include "kernels/quantize/quantize_launch.h"

namespace gridstep {
namespace {

// A block handles kQuantizeCudaBlock elements at a time, each thread four packs of four: four 16-byte loads in flight.
constexpr int kThreads = kTreeThreads;
constexpr int kPacks = static_cast<int>(kQuantizeCudaBlock) / (4 * kThreads);

// Elements that have one step: the whole tensor, or one entry of the leading axis.
struct Rows {
  Index count, size;
  bool per_channel;

  Rows(const QuantizeAttrs& attrs, const Shape& x)
      : count(attrs.per_channel ? x[0] : 1),
        size(count == 0 ? 0 : x.elements() / count),
        per_channel(attrs.per_channel) {}
};

// Packs lie where memory is aligned, so a row that begins between two of them takes part in its first pack with its
// last elements only: elements first .. first + 3 of n, of which some lie before 0.
__device__ __forceinline__ Index row_head(Index row, Index row_size) { return row * row_size % 4; }

__device__ __forceinline__ Pack4<float> load_in_row(const float* p, Index first, Index n, bool packs) {
  if (first >= 0) return load_up_to4(p, first, n, packs);
  Pack4<float> values{};
#pragma unroll
  for (int l = 1; l < 4; ++l) {
    if (first + l >= 0 && first + l < n) values.v[l] = p[first + l];
  }
  return values;
}

template <class T>
__device__ __forceinline__ void store_in_row(T* p, Index first, Index n, bool packs, const Pack4<T>& values) {
  if (first >= 0) {
    store_up_to4(p, first, n, packs, values);
    return;
  }
#pragma unroll
  for (int l = 1; l < 4; ++l) {
    if (first + l >= 0 && first + l < n) p[first + l] = values.v[l];
  }
}

__device__ __forceinline__ Index first_of_pack(int pack) {
  return 4 * (static_cast<Index>(pack) * kThreads + static_cast<Index>(threadIdx.x));
}

template <class Out>
struct ForwardArguments {
  Strided<const float> x, parameter;
  Strided<Out> out;
  Strided<float> step;
  Index row_size;
  unsigned blocks_per_row;
  StepForm form;
  CodeLimits limits;
  bool packs;
  const StepParams* params;
  ReplicaStatus* status;
  int node_index;
};

template <FusedActivation A, class Out>
__global__ void __launch_bounds__(kThreads) forward_kernel(const __grid_constant__ ForwardArguments<Out> a) {
  const unsigned replica = blockIdx.y;
  const Index row = blockIdx.x / a.blocks_per_row;
  const Index offset = (blockIdx.x % a.blocks_per_row) * kQuantizeCudaBlock - row_head(row, a.row_size);
  const Index n = a.row_size;
  const float* const x = a.x.at(replica) + row * n;
  Pack4<float> values[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) values[k] = load_in_row(x, offset + first_of_pack(k), n, a.packs);

  const float s = step_value(a.parameter.at(replica)[row], a.form);
  if (offset <= 0 && threadIdx.x == 0) a.step.at(replica)[row] = s;
  Out* const out = a.out.at(replica) + row * n;
  bool bad = false;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const Index first = offset + first_of_pack(k);
    store_in_row(out, first, n, a.packs, encode_up_to4<A, Out>(values[k], first, n, s, a.limits, bad));
  }
  if (bad) note_fault(a.status[replica], a.params[replica].step, a.node_index);
}

struct BackwardArguments {
  Strided<const float> x, parameter, s0, g;
  Strided<float> dx;  // null data: not wanted
  Strided<float> dparameter;
  Strided<double> partial;  // per tensor: one sum per block
  Index row_size;
  bool per_channel;  // a block per row; else a block per kQuantizeCudaBlock elements
  StepForm form;
  float gradient_scale;
  CodeLimits limits;
  bool packs;
};

// `sum` is that of G * r over the row.
__device__ __forceinline__ void write_step_gradient(const BackwardArguments& a, unsigned replica, Index row, float s,
                                                    double sum) {
  const float factor = step_factor(a.form, a.gradient_scale, s, a.s0.at(replica)[row]);
  a.dparameter.at(replica)[row] = static_cast<float>(sum * static_cast<double>(factor));
}

// dx of one pack; adds G * r to the thread's lanes.
template <FusedActivation A, GradientMask M>
__device__ __forceinline__ Pack4<float> backward_pack(const Pack4<float>& x, const Pack4<float>& g, Index first,
                                                      Index n, float s, CodeLimits limits, LaneSums& sums) {
  Pack4<float> dx;
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    const float a = activate<A>(x.v[l]);
    float r;
    const float pass = Lsq::backward<M>(a, s, limits.n, limits.p, r);
    if (first + l >= 0 && first + l < n) sums.lane[l] += static_cast<double>(g.v[l] * r);
    dx.v[l] = g.v[l] * (pass * activation_slope<A>(x.v[l], a));
  }
  return dx;
}

// The sum's order is that of lane_sum.h, counted from the row's first pack, whether or not packs can be used: alignment
// may differ between replicas.
template <FusedActivation A, GradientMask M>
__global__ void __launch_bounds__(kThreads) backward_kernel(const __grid_constant__ BackwardArguments a) {
  const unsigned replica = blockIdx.y;
  const Index row = a.per_channel ? static_cast<Index>(blockIdx.x) : 0;
  const Index offset = a.per_channel ? 0 : static_cast<Index>(blockIdx.x) * kQuantizeCudaBlock;
  const Index end =
      a.per_channel || a.row_size - offset < kQuantizeCudaBlock ? a.row_size - offset : kQuantizeCudaBlock;
  const Index begin = row * a.row_size + offset;
  const Index head = row_head(row, a.row_size);  // 0 per tensor
  const float* const x = a.x.at(replica) + begin;
  const float* const g = a.g.at(replica) + begin;
  float* const dx = a.dx.data == nullptr ? nullptr : a.dx.at(replica) + begin;
  const float s = step_value(a.parameter.at(replica)[row], a.form);
  LaneSums sums;
#pragma unroll 1
  for (Index base = -head; base < end; base += kQuantizeCudaBlock) {
    Pack4<float> values[kPacks], gradients[kPacks];
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      values[k] = load_in_row(x, base + first_of_pack(k), end, a.packs);
      gradients[k] = load_in_row(g, base + first_of_pack(k), end, a.packs);
    }
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const Index first = base + first_of_pack(k);
      const Pack4<float> d = backward_pack<A, M>(values[k], gradients[k], first, end, s, a.limits, sums);
      if (dx != nullptr) store_in_row(dx, first, end, a.packs, d);
    }
  }
  const double sum = block_sum(sums.fold());
  if (threadIdx.x != 0) return;
  if (a.per_channel) {
    write_step_gradient(a, replica, row, s, sum);
  } else {
    a.partial.at(replica)[blockIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kThreads) step_kernel(const __grid_constant__ BackwardArguments a, Index partials) {
  const unsigned replica = blockIdx.x;
  const double* const partial = a.partial.at(replica);
  const double sum = block_lane_sum(partials, [=](Index i) { return partial[i]; });
  if (threadIdx.x != 0) return;
  write_step_gradient(a, replica, 0, step_value(*a.parameter.at(replica), a.form), sum);
}

template <class Out>
ForwardArguments<Out> forward_arguments(const Recorder& recorder, const BoundNode& node, const Rows& rows) {
  const QuantizeAttrs& attrs = node.attrs<QuantizeAttrs>();
  ForwardArguments<Out> a{};
  a.x = strided<const float>(node.in[0]);
  a.parameter = strided<const float>(node.in[1]);
  a.out = strided<Out>(node.out[0]);
  a.step = strided<float>(node.out[1]);
  a.row_size = rows.size;
  const Index longest_head = rows.per_channel && rows.size % 4 != 0 ? 3 : 0;
  a.blocks_per_row = std::max(1u, blocks_for(rows.size + longest_head, static_cast<int>(kQuantizeCudaBlock)));
  a.form = attrs.form;
  a.limits = code_limits(attrs);
  a.packs = packs_are_aligned(a.x) && packs_are_aligned(a.out);
  a.params = recorder.params();
  a.status = recorder.status();
  a.node_index = recorder.node_index();
  return a;
}

BackwardArguments backward_arguments(const BoundNode& node, const Rows& rows) {
  const QuantizeAttrs& attrs = node.attrs<QuantizeAttrs>();
  BackwardArguments a{};
  a.x = strided<const float>(node.in[0]);
  a.parameter = strided<const float>(node.in[1]);
  a.s0 = strided<const float>(node.in[2]);
  a.g = strided<const float>(node.in[3]);
  a.dx = strided<float>(node.out[0]);
  a.dparameter = strided<float>(node.out[1]);
  a.partial = strided<double>(node.workspace);
  a.row_size = rows.size;
  a.per_channel = rows.per_channel;
  a.form = attrs.form;
  a.gradient_scale = attrs.gradient_scale;
  a.limits = code_limits(attrs);
  a.packs = packs_are_aligned(a.x) && packs_are_aligned(a.g) && packs_are_aligned(a.dx);
  return a;
}

}  // namespace

void record_quantize_cuda(Recorder& recorder, const BoundNode& node) {
  const QuantizeAttrs& attrs = node.attrs<QuantizeAttrs>();
  const Rows rows(attrs, node.in[0].shape);
  if (rows.count == 0) return;
  const cudaStream_t stream = cuda_stream(recorder.device());
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  visit_encoding(attrs, [&]<FusedActivation A, class Out>() {
    const auto a = forward_arguments<Out>(recorder, node, rows);
    const dim3 grid(static_cast<unsigned>(rows.count) * a.blocks_per_row, replicas);
    recorder.launch("", 1,
                    [=](const TaskContext&) { launch(forward_kernel<A, Out>, grid, dim3(kThreads), 0, stream, a); });
  });
}

void record_quantize_backward_cuda(Recorder& recorder, const BoundNode& node) {
  const QuantizeAttrs& attrs = node.attrs<QuantizeAttrs>();
  const Rows rows(attrs, node.in[0].shape);
  if (rows.count == 0) return;
  const BackwardArguments a = backward_arguments(node, rows);
  const cudaStream_t stream = cuda_stream(recorder.device());
  const auto replicas = static_cast<unsigned>(recorder.replicas());
  const Index partials = quantize_partial_count(attrs, node.in[0].shape, DeviceKind::kCuda);
  const Index blocks = attrs.per_channel ? rows.count : partials;
  if (blocks > 0) {
    visit_quantize(attrs, [&]<FusedActivation A, GradientMask M>() {
      const dim3 grid(static_cast<unsigned>(blocks), replicas);
      recorder.launch("", 1,
                      [=](const TaskContext&) { launch(backward_kernel<A, M>, grid, dim3(kThreads), 0, stream, a); });
    });
  }
  if (attrs.per_channel) return;
  recorder.launch("step", 1, [=](const TaskContext&) {
    launch(step_kernel, dim3(replicas), dim3(kThreads), 0, stream, a, partials);
  });
}

}  // namespace gridstep
