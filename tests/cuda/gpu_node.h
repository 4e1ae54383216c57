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

// What the plug-in's launches of a bench's node want.
inline Bytes gpu_workspace(const NodeBench& bench) {
  std::vector<ValueSpec> specs;
  for (const Tensor& t : bench.bound().in) specs.push_back({t.shape, t.dtype});
  return workspace_bytes(bench.bound().node, specs, DeviceKind::kCuda);
}

// All replicas of a bench's node on a device: inputs, step parameters and status go there, the launches that `record`
// records run over poisoned outputs and workspace, and everything comes back into the bench.
inline void run_on_gpu(Device& device, NodeBench& bench, RecordFn record, int node_index) {
  std::vector<Buffer> memory;
  const auto take = [&](Bytes size) {
    memory.emplace_back(device, align_up(size + 1));
    device.fill(memory.back().data(), 0xff, memory.back().size());
    return memory.back().data();
  };
  const int replicas = bench.replicas();
  const auto blocks = [&](const Tensor& t) { return t.data == nullptr ? 0 : t.replica_stride == 0 ? 1 : replicas; };
  const auto place = [&](const Tensor& t) {
    Tensor there = t;
    if (t.data == nullptr) return there;
    const auto off_the_grid = static_cast<Bytes>(reinterpret_cast<std::uintptr_t>(t.data) % kAlignment);
    there.data = take(std::max<Bytes>(t.replica_stride, t.elements() * size_of(t.dtype)) * replicas + off_the_grid);
    there.data += off_the_grid;
    return there;
  };
  const BoundNode& here = bench.bound();
  BoundNode there{here.node, {}, {}, {}};
  for (const Tensor& t : here.in) {
    there.in.push_back(place(t));
    for (int r = 0; r < blocks(t); ++r)
      device.upload(there.in.back().at<std::byte>(r), t.at<std::byte>(r), t.elements() * size_of(t.dtype));
  }
  for (const Tensor& t : here.out) there.out.push_back(place(t));
  there.workspace = place(here.workspace);
  const Bytes params_size = static_cast<Bytes>(sizeof(StepParams)) * replicas,
              status_size = static_cast<Bytes>(sizeof(ReplicaStatus)) * replicas;
  std::byte *const params = take(params_size), *const status = take(status_size);
  device.upload(params, &bench.params(), params_size);
  device.upload(status, &bench.status(), status_size);
  Recorder recorder(device, replicas, reinterpret_cast<const StepParams*>(params),
                    reinterpret_cast<ReplicaStatus*>(status));
  recorder.set_node(node_index, here.node.name);
  record(recorder, there);
  device.run(recorder.take_launches(), replicas, recorder.scratch_bytes());
  device.synchronize();
  device.download(&bench.status(), status, status_size);
  const auto bring = [&](const std::vector<Tensor>& from, const std::vector<Tensor>& to) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      for (int r = 0; r < blocks(to[i]); ++r)
        device.download(to[i].at<std::byte>(r), from[i].at<std::byte>(r), to[i].elements() * size_of(to[i].dtype));
    }
  };
  bring(there.in, here.in);  // some are changed in place
  bring(there.out, here.out);
}

}  // namespace gridstep::test
