// CUDA driver of elementwise ops: out[i] = f(in0[i], in1[i], ...), four elements per thread, one grid row per replica.
#pragma once

#include <tuple>
#include <utility>

#include "engine/device/cuda/cuda_device.h"
#include "engine/device/cuda/vector.cuh"
#include "engine/graph/op.h"

namespace gridstep {

constexpr int kElementwiseThreads = 256;

// Threads below `packs` handle four elements each, the others the rest one by one.
template <class F, class Out, class... In>
__global__ void __launch_bounds__(kElementwiseThreads)
    elementwise_kernel(F f, Index packs, Index n, Strided<Out> out, Strided<const In>... in) {
  const Index thread = static_cast<Index>(blockIdx.x) * kElementwiseThreads + threadIdx.x;
  const unsigned replica = blockIdx.y;
  if (thread < packs) {
    Pack4<Out> y;
    [&](const Pack4<In>&... x) {
#pragma unroll
      for (int l = 0; l < 4; ++l) y.v[l] = f(x.v[l]...);
    }(load4(in.at(replica), thread)...);
    store4(out.at(replica), thread, y);
    return;
  }
  const Index i = packs * 4 + (thread - packs);
  if (i < n) out.at(replica)[i] = f(in.at(replica)[i]...);
}

// Records a launch for a node with one output (Out) and as many inputs as types are given.
template <class Out, class... In, class F>
void record_elementwise_cuda(Recorder& recorder, const BoundNode& node, F f) {
  const auto record = [&]<std::size_t... I>(std::index_sequence<I...>) {
    const Strided<Out> out = strided<Out>(node.out[0]);
    const Index n = node.out[0].elements();
    const bool aligned = packs_are_aligned(out) && (packs_are_aligned(strided<const In>(node.in[I])) && ...);
    const Index packs = aligned ? n / 4 : 0;
    const dim3 grid(blocks_for(packs + (n - packs * 4), kElementwiseThreads),
                    static_cast<unsigned>(recorder.replicas()));
    const cudaStream_t stream = cuda_stream(recorder.device());
    recorder.launch("", 1, [=, in = std::tuple{strided<const In>(node.in[I])...}](const TaskContext&) {
      launch(elementwise_kernel<F, Out, In...>, grid, dim3(kElementwiseThreads), 0, stream, f, packs, n, out,
             std::get<I>(in)...);
    });
  };
  record(std::index_sequence_for<In...>{});
}

}  // namespace gridstep
