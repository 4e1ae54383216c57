// Runs a whole graph node by node on the CPU, every value in memory of its own: for gradient rules, without planner and
// program.
//   GraphBench bench(graph);
//   fill(bench.values<float>(x), input);
//   bench.run();
//   bench.values<float>(graph.find_value("loss"))
#pragma once

#include <functional>

#include "engine/graph/backward.h"
#include "tests/support/bind.h"
#include "tests/support/compare.h"

namespace gridstep::test {

inline ValueId add_trained(Graph& graph, std::string name, const Shape& shape) {
  ParameterInfo info;
  info.name = std::move(name);
  info.shape = shape;
  return graph.add_parameter(std::move(info));
}

class GraphBench {
 public:
  explicit GraphBench(const Graph& graph, int replicas = 1)
      : graph_(graph),
        replicas_(replicas),
        params_(static_cast<std::size_t>(replicas)),
        status_(static_cast<std::size_t>(replicas)) {
    for (const GraphValue& value : graph.values()) {
      const Bytes stride = align_up(value.spec.bytes() + 1);
      const bool shared = value.storage == Storage::kShared;
      buffers_.emplace_back(device_, stride * (shared ? 1 : replicas));
      device_.fill(buffers_.back().data(), 0xff, buffers_.back().size());
      tensors_.push_back({buffers_.back().data(), value.spec.shape, value.spec.dtype, shared ? 0 : stride});
    }
  }

  template <class T>
  std::span<T> values(ValueId id, int replica = 0) {
    const Tensor& t = tensors_.at(static_cast<std::size_t>(id));
    GS_CHECK(size_of(t.dtype) == static_cast<Bytes>(sizeof(T)), "elements of {} are {}", graph_.value(id).name,
             name_of(t.dtype));
    return {t.at<T>(replica), static_cast<std::size_t>(t.elements())};
  }
  StepParams& params(int replica = 0) { return params_[static_cast<std::size_t>(replica)]; }
  ReplicaStatus& status(int replica = 0) { return status_[static_cast<std::size_t>(replica)]; }

  void run(TaskOrder order = TaskOrder::kForward) {
    device_.set_order(order);
    Recorder recorder(device_, replicas_, params_.data(), status_.data());
    std::vector<Buffer> workspaces;
    std::vector<BoundNode> bound;
    bound.reserve(graph_.nodes().size());
    for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
      const Node& node = graph_.nodes()[n];
      bound.push_back({node, {}, {}, {}});
      std::vector<ValueSpec> specs;
      for (const ValueId id : node.inputs) {
        specs.push_back(id == kNoValue ? ValueSpec{} : graph_.spec(id));
        bound.back().in.push_back(id == kNoValue ? Tensor{} : tensors_[static_cast<std::size_t>(id)]);
      }
      for (const ValueId id : node.outputs) {
        const Tensor& t = tensors_[static_cast<std::size_t>(id)];
        device_.fill(t.data, 0xff, t.replica_stride * replicas_);
        bound.back().out.push_back(t);
      }
      const Bytes size =
          node.op->workspace == nullptr ? 0 : align_up(node.op->workspace(node, specs, DeviceKind::kCpu));
      if (size > 0) {
        workspaces.emplace_back(device_, size * replicas_);
        device_.fill(workspaces.back().data(), 0xff, size * replicas_);
        bound.back().workspace = {workspaces.back().data(), Shape{size}, DType::kU8, size};
      }
      recorder.set_node(static_cast<int>(n), node.name);
      node.op->record_cpu(recorder, bound.back());
    }
    const Bytes scratch_bytes = recorder.scratch_bytes();
    device_.run(recorder.take_launches(), replicas_, scratch_bytes);
  }

 private:
  const Graph& graph_;
  int replicas_;
  HostDevice device_;
  std::vector<StepParams> params_;
  std::vector<ReplicaStatus> status_;
  std::vector<Buffer> buffers_;
  std::vector<Tensor> tensors_;
};

// Compares the gradient of an f64 scalar `loss` by the f32 parameter `x`, from the ops' rules, with central differences
// of width h. Only for graphs that are smooth over h. `prepare` fills the other inputs.
inline Comparison check_gradient(Graph& graph, ValueId loss, ValueId x, const OpDef& add, std::span<const float> at,
                                 float h, Tolerance tolerance, const std::function<void(GraphBench&)>& prepare) {
  differentiate(graph, loss, add);
  ValueId gradient = kNoValue;
  for (std::size_t v = 0; v < graph.values().size(); ++v) {
    const GraphValue& value = graph.values()[v];
    if (value.storage == Storage::kGradient && value.parameter == graph.value(x).parameter)
      gradient = static_cast<ValueId>(v);
  }
  GS_CHECK(gradient != kNoValue, "no gradient of {}", graph.value(x).name);
  GraphBench bench(graph);
  prepare(bench);
  fill(bench.values<float>(x), at);
  bench.run();
  const std::vector<float> got = copy_of(bench.values<float>(gradient));
  std::vector<double> want;
  for (std::size_t i = 0; i < at.size(); ++i) {
    float& variable = bench.values<float>(x)[i];
    const auto loss_at = [&](float value) {
      variable = value;
      bench.run();
      return bench.values<double>(loss)[0];
    };
    const float high = at[i] + h, low = at[i] - h;
    want.push_back((loss_at(high) - loss_at(low)) / (static_cast<double>(high) - static_cast<double>(low)));
    variable = at[i];
  }
  return compare(got, want, tolerance);
}

}  // namespace gridstep::test
