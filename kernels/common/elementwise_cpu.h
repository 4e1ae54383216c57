// CPU driver of elementwise ops: out[i] = f(in0[i], in1[i], ...). The first dimension decides the number of tasks; the
// functor is a small host/device struct, which the CUDA driver (elementwise.cuh) takes as well.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "engine/graph/op.h"

namespace gridstep {

inline int elementwise_tasks(const Shape& shape) { return shape.rank() == 0 ? 1 : Recorder::chunks(shape[0]); }

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
