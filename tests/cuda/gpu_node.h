// One node on the GPU, from the inputs that a bench of the CPU holds.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/device/plugin.h"
#include "tests/support/bind.h"

namespace gridstep::test {

inline std::unique_ptr<Device> gpu() { return cuda_plugin().registry->make_device(0); }

class GpuNode {
 public:
  // Records the node's CUDA launches over poisoned outputs and workspace, and runs them.
  GpuNode(Device& device, const Graph& graph, NodeId id, const NodeBench& cpu, const StepParams& params = {})
      : device_(device), bound_(cpu.bound()) {
    for (Tensor& t : bound_.in) upload(t);
    for (Tensor& t : bound_.out) {
      if (t.data != nullptr) place(t);
    }
    std::vector<ValueSpec> specs;
    for (const ValueId v : graph.node(id).inputs) specs.push_back(v == kNoValue ? ValueSpec{} : graph.spec(v));
    const Bytes workspace = workspace_bytes(graph.node(id), specs, DeviceKind::kCuda);
    bound_.workspace = {nullptr, {workspace}, DType::kU8, 0};
    if (workspace > 0) place(bound_.workspace);

    const ReplicaStatus clean;
    const std::byte* const params_at = copy(&params, static_cast<Bytes>(sizeof params));
    std::byte* const status_at = copy(&clean, static_cast<Bytes>(sizeof clean));
    Recorder recorder(device, 1, reinterpret_cast<const StepParams*>(params_at),
                      reinterpret_cast<ReplicaStatus*>(status_at));
    recorder.set_node(0, graph.node(id).name);
    launcher(*graph.node(id).op, DeviceKind::kCuda)(recorder, bound_);
    device.run(recorder.take_launches(), 1, recorder.scratch_bytes());
    device.synchronize();
    device.download(&status, status_at, static_cast<Bytes>(sizeof status));
  }

  template <class T>
  std::vector<T> out(int index) {
    const Tensor& t = bound_.out[static_cast<std::size_t>(index)];
    std::vector<T> values(static_cast<std::size_t>(t.elements()));
    device_.download(values.data(), t.data, t.elements() * static_cast<Bytes>(sizeof(T)));
    return values;
  }

  ReplicaStatus status;

 private:
  std::byte* allocate(Bytes size) {
    memory_.emplace_back(device_, align_up(size + 1));
    device_.fill(memory_.back().data(), 0xff, memory_.back().size());
    return memory_.back().data();
  }
  std::byte* copy(const void* from, Bytes size) {
    std::byte* const to = allocate(size);
    device_.upload(to, from, size);
    return to;
  }
  void place(Tensor& t) {
    t.data = allocate(t.elements() * size_of(t.dtype));
    t.replica_stride = memory_.back().size();
  }
  void upload(Tensor& t) {
    if (t.data == nullptr) return;
    const std::byte* const from = t.data;
    place(t);
    device_.upload(t.data, from, t.elements() * size_of(t.dtype));
  }

  Device& device_;
  std::vector<Buffer> memory_;
  BoundNode bound_;
};

}  // namespace gridstep::test
