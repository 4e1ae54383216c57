// Runs single nodes of a graph on memory of their own, without planner, program or trainer.
//
//   Graph graph;
//   const ValueId x = graph.add_input("x", {Shape{2, 3, 3, 4}, DType::kF32});
//   relu(graph, "relu", x);
//   NodeBench bench(graph, 0);             // node 0, one replica, everything poisoned
//   fill(bench.in<float>(0), values);
//   bench.run();                           // CPU launches
//   CHECK_SAME(compare(bench.out<float>(0), wanted, {.rel = 1e-6}));
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"
#include "tests/support/fence.h"

namespace gridstep::test {

// Order in which the tasks of a launch run. Results must not depend on it.
enum class TaskOrder { kForward, kReverse, kShuffled };

// Host memory under either name: as kCuda it lets CUDA launchers be recorded where kernels run on the host.
class HostDevice final : public Device {
 public:
  explicit HostDevice(DeviceKind kind = DeviceKind::kCpu, TaskOrder order = TaskOrder::kForward)
      : kind_(kind), order_(order) {}

  DeviceKind kind() const override { return kind_; }
  std::string describe() const override { return "test device"; }
  std::byte* allocate(Bytes size) override {
    return static_cast<std::byte*>(::operator new (static_cast<std::size_t>(size), std::align_val_t{kAlignment}));
  }
  void release(std::byte* p) noexcept override { ::operator delete (p, std::align_val_t{kAlignment}); }
  Bytes available_bytes() const override { return Bytes{1} << 32; }
  void fill(std::byte* p, int value, Bytes size) override { std::memset(p, value, static_cast<std::size_t>(size)); }
  void upload(std::byte* to, const void* from, Bytes size) override {
    std::memcpy(to, from, static_cast<std::size_t>(size));
  }
  void download(void* to, const std::byte* from, Bytes size) override {
    std::memcpy(to, from, static_cast<std::size_t>(size));
  }
  void copy(std::byte* to, const std::byte* from, Bytes size) override {
    std::memcpy(to, from, static_cast<std::size_t>(size));
  }
  void synchronize() override {}

  void set_order(TaskOrder order) { order_ = order; }

  void run(const std::vector<Launch>& launches, int replicas, Bytes scratch_bytes) override {
    const Buffer scratch(*this, std::max<Bytes>(scratch_bytes, 1));
    for (const Launch& launch : launches) {
      const int tasks = kind_ == DeviceKind::kCuda ? 1 : launch.tasks * replicas;
      std::vector<int> order(static_cast<std::size_t>(tasks));
      std::iota(order.begin(), order.end(), 0);
      if (order_ == TaskOrder::kReverse) std::reverse(order.begin(), order.end());
      if (order_ == TaskOrder::kShuffled) std::shuffle(order.begin(), order.end(), random_);
      for (const int i : order) {
        fill(scratch.data(), 0xff, scratch.size());
        launch.run({.replica = i / launch.tasks, .task = i % launch.tasks, .scratch = scratch.data()});
      }
    }
  }

 private:
  DeviceKind kind_;
  TaskOrder order_;
  std::mt19937 random_{20240229};
};

// One node with owned memory: inputs, outputs, workspace, step parameters and status of every replica. Blocks of the
// replicas lie apart by more than their size and everything is filled before each run, except inputs: with 0xff (NaN),
// or with what poison_with says.
class NodeBench {
 public:
  NodeBench(const Graph& graph, NodeId node, int replicas = 1, DeviceKind kind = DeviceKind::kCpu)
      : device_(std::make_unique<HostDevice>(kind)),
        replicas_(replicas),
        params_(static_cast<std::size_t>(replicas)),
        status_(static_cast<std::size_t>(replicas)),
        node_(std::make_unique<Node>(graph.node(node))),
        bound_{*node_, {}, {}, {}} {
    std::vector<ValueSpec> specs;
    for (const ValueId id : node_->inputs) {
      specs.push_back(id == kNoValue ? ValueSpec{} : graph.spec(id));
      bound_.in.push_back(id == kNoValue ? Tensor{} : make(specs.back(), graph.value(id).storage == Storage::kShared));
    }
    for (const ValueId id : node_->outputs) bound_.out.push_back(make(graph.spec(id), false));
    if (node_->op->workspace != nullptr) {
      bound_.workspace = make({Shape{node_->op->workspace(*node_, specs, kind)}, DType::kU8}, false);
    }
  }

  template <class T>
  std::span<T> in(int index, int replica = 0) {
    return span_of<T>(bound_.in[static_cast<std::size_t>(index)], replica);
  }
  template <class T>
  std::span<T> out(int index, int replica = 0) {
    return span_of<T>(bound_.out[static_cast<std::size_t>(index)], replica);
  }
  StepParams& params(int replica = 0) { return params_[static_cast<std::size_t>(replica)]; }
  ReplicaStatus& status(int replica = 0) { return status_[static_cast<std::size_t>(replica)]; }
  int replicas() const { return replicas_; }
  HostDevice& device() { return *device_; }
  void poison_with(int byte) { poison_byte_ = byte; }
  // In place of what the op asks for on the CPU.
  void set_workspace(Bytes size) { bound_.workspace = make({Shape{size}, DType::kU8}, false); }
  // The output is not wanted: launches find no memory for it.
  void drop_output(int index) { bound_.out[static_cast<std::size_t>(index)].data = nullptr; }
  // Puts an input `by` bytes off the grid; its content is undefined.
  void misalign_input(int index, Bytes by) {
    Tensor& t = bound_.in[static_cast<std::size_t>(index)];
    t = make({t.shape, t.dtype}, t.replica_stride == 0, by);
  }
  const BoundNode& bound() const { return bound_; }

  // Records with `record`, or with the op's own CPU function, and runs. Outputs and workspace are poisoned first.
  void run(TaskOrder order = TaskOrder::kForward, RecordFn record = nullptr, int node_index = 0) {
    for (const Tensor& t : bound_.out) poison(t);
    poison(bound_.workspace);
    device_->set_order(order);
    Recorder recorder(*device_, replicas_, params_.data(), status_.data());
    recorder.set_node(node_index, node_->name);
    (record != nullptr ? record : node_->op->record_cpu)(recorder, bound_);
    const Bytes scratch_bytes = recorder.scratch_bytes();
    device_->run(recorder.take_launches(), replicas_, scratch_bytes);
  }

 private:
  // `skipped`: bytes between an aligned address and the block's first.
  Tensor make(const ValueSpec& spec, bool shared, Bytes skipped = 0) {
    const Bytes stride = align_up(skipped + spec.bytes() + 1);
    buffers_.emplace_back(*device_, stride * (shared ? 1 : replicas_));
    device_->fill(buffers_.back().data(), 0xff, buffers_.back().size());
    for (int r = 0; r < (shared ? 1 : replicas_); ++r) {
      std::byte* const begin = buffers_.back().data() + stride * r;
      const Bytes used = skipped + spec.bytes();
      fence_off(begin, static_cast<std::size_t>(skipped));
      fence_off(begin + used, static_cast<std::size_t>(stride - used));
    }
    return {buffers_.back().data() + skipped, spec.shape, spec.dtype, shared ? 0 : stride};
  }
  void poison(const Tensor& t) {
    if (t.data == nullptr) return;
    for (int r = 0; r < replicas_; ++r) {
      device_->fill(t.data + t.replica_stride * r, poison_byte_, t.elements() * size_of(t.dtype));
    }
  }
  template <class T>
  std::span<T> span_of(const Tensor& t, int replica) {
    GS_CHECK(size_of(t.dtype) == static_cast<Bytes>(sizeof(T)), "{}: elements are {}", node_->name, name_of(t.dtype));
    return {t.at<T>(replica), static_cast<std::size_t>(t.elements())};
  }

  std::unique_ptr<HostDevice> device_;  // before buffers_: they release through it
  int replicas_;
  int poison_byte_ = 0xff;
  std::vector<StepParams> params_;
  std::vector<ReplicaStatus> status_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<Node> node_;
  BoundNode bound_;
};

template <class T, class Values>
void fill(std::span<T> to, const Values& values) {
  GS_CHECK(to.size() == std::size(values), "{} values for {} elements", std::size(values), to.size());
  std::copy(std::begin(values), std::end(values), to.begin());
}

inline std::vector<float> normal_values(Index n, unsigned seed, float deviation = 1.0f, float mean = 0.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(mean, deviation);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = distribution(random);
  return values;
}

inline std::vector<std::uint8_t> byte_values(Index n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> values(static_cast<std::size_t>(n));
  for (std::uint8_t& v : values) v = static_cast<std::uint8_t>(random() >> 24);
  return values;
}

template <class T>
std::vector<T> copy_of(std::span<T> values) {
  return {values.begin(), values.end()};
}

}  // namespace gridstep::test
