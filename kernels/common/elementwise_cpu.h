// CPU driver of elementwise ops: out[i] = f(in0[i], in1[i], ...). Tasks are nearly equal parts of the elements, as many
// as the size asks for; values do not depend on them. The functor is a small host/device struct, which the CUDA driver
// (elementwise.cuh) takes too.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "engine/graph/op.h"

namespace gridstep {

// A task for every few thousand elements: whole images, whose batch is one, are shared among threads as well.
inline int elementwise_tasks(const Shape& shape) { return Recorder::chunks((shape.elements() + 4095) / 4096); }

// Records a launch for a node with one output (Out) and as many inputs as types are given.
template <class Out, class... In, class F>
void record_elementwise_cpu(Recorder& recorder, const BoundNode& node, F f) {
  const Tensor out = node.out[0];
  const int tasks = elementwise_tasks(out.shape);
  auto record = [&]<std::size_t... I>(std::index_sequence<I...>) {
    recorder.launch("", tasks, [f, out, tasks, in = std::array{node.in[I]...}](const TaskContext& context) {
      const auto [begin, end] = Recorder::part(out.elements(), tasks, context.task);
      [f, begin = begin, end = end](Out* __restrict y, const In* __restrict... x) {
        for (Index i = begin; i < end; ++i) y[i] = f(x[i]...);
      }(out.at<Out>(context.replica), in[I].template at<const In>(context.replica)...);
    });
  };
  record(std::index_sequence_for<In...>{});
}

}  // namespace gridstep
