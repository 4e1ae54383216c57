// A population of replicas in host memory, with the optimizer launches recorded over it.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "optim/optimizer.h"
#include "optim/registry.h"
#include "tests/support/run_launches.h"

namespace gridstep::test {

// The optimizer drivers ask a device for nothing but memory.
class HostMemory final : public Device {
 public:
  DeviceKind kind() const override { return DeviceKind::kCpu; }
  std::string describe() const override { return "host memory"; }
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
  void run(const std::vector<Launch>& launches, int replicas, Bytes scratch) override {
    run_launches(launches, replicas, TaskOrder::kForward, scratch);
  }
  void copy(std::byte* to, const std::byte* from, Bytes size) override {
    std::memcpy(to, from, static_cast<std::size_t>(size));
  }
  void synchronize() override {}
};

// An array of exactly `size` floats, aligned as device memory is, so that a sanitizer sees the first access beyond it.
class FloatArray {
 public:
  explicit FloatArray(Index size)
      : size_(size),
        data_(static_cast<float*>(
            ::operator new (static_cast<std::size_t>(size) * sizeof(float), std::align_val_t{256}))) {
    std::fill(data_.get(), data_.get() + size, 0.0f);
  }
  float* data() const { return data_.get(); }
  float& operator[](Index i) { return data_.get()[i]; }
  const float& operator[](Index i) const { return data_.get()[i]; }
  std::size_t size() const { return static_cast<std::size_t>(size_); }
  std::vector<float> part(Index begin, Index size) const { return {data() + begin, data() + begin + size}; }

 private:
  struct Release {
    void operator()(float* p) const { ::operator delete (p, std::align_val_t{256}); }
  };
  Index size_;
  std::unique_ptr<float[], Release> data_;
};

// What a replica trains with.
struct ReplicaRule {
  std::string optimizer;
  std::map<std::string, double, std::less<>> settings = {};
};

// Weights whose codes the update writes: two segments, and the range.
struct CodedWeights {
  int weights, steps;
  CodeRange range;
};

// Their memory, replica after replica, poisoned.
struct CodeMemory {
  CodeMemory(Index weights, Index step_count, std::size_t replicas)
      : size(weights),
        steps(step_count),
        codes(static_cast<std::size_t>(weights) * replicas, 0xee),
        step_values(static_cast<std::size_t>(step_count) * replicas, -1.0f) {}
  std::span<const std::uint8_t> codes_of(int replica) const {
    return std::span(codes).subspan(static_cast<std::size_t>(size * replica), static_cast<std::size_t>(size));
  }
  std::span<const float> steps_of(int replica) const {
    return std::span(step_values).subspan(static_cast<std::size_t>(steps * replica), static_cast<std::size_t>(steps));
  }

  Index size, steps;
  std::vector<std::uint8_t> codes;
  std::vector<float> step_values;
};

using RecordOptimizer = void (*)(Recorder&, const OptimizerArena&);

class Population {
  HostMemory memory_;  // first: the launches may own memory of it

 public:
  Population(std::vector<Segment> segments, Index trained, Index floats, const std::vector<ReplicaRule>& replicas,
             RecordOptimizer record = &record_optimizer, const std::vector<CodedWeights>& coded = {})
      : size(trained),
        stride(floats),
        weights(stride * static_cast<Index>(replicas.size())),
        gradients(stride * static_cast<Index>(replicas.size())),
        params(replicas.size()),
        status(replicas.size()) {
    OptimizerArena arena{.weights = weights.data(), .gradients = gradients.data(), .stride = stride, .size = size};
    arena.segments = std::move(segments);
    for (const CodedWeights& c : coded) {
      const auto segment = [&](int i) { return arena.segments.at(static_cast<std::size_t>(i)); };
      code_memory.emplace_back(segment(c.weights).size, segment(c.steps).size, replicas.size());
      CodeMemory& m = code_memory.back();
      arena.code_outputs.push_back(
          {.weights = c.weights,
           .steps = c.steps,
           .range = c.range,
           .codes = {reinterpret_cast<std::byte*>(m.codes.data()), {m.size}, DType::kU8, m.size},
           .step_values = {reinterpret_cast<std::byte*>(m.step_values.data()), {m.steps}, DType::kF32, 4 * m.steps}});
    }
    int slot_count = 0;
    for (const ReplicaRule& replica : replicas) {
      rules.push_back(find_optimizer(replica.optimizer));
      settings.push_back(resolve_settings(rules.back(), replica.settings));
      slot_count = std::max(slot_count, slots_in_use(rules.back(), settings.back()));
    }
    for (int k = 0; k < slot_count; ++k) {
      slots.emplace_back(stride * static_cast<Index>(replicas.size()));
      arena.slots[static_cast<std::size_t>(k)] = slots.back().data();
    }
    arena.rules = rules;
    Recorder recorder(memory_, static_cast<int>(replicas.size()), params.data(), status.data());
    record(recorder, arena);
    scratch_bytes = recorder.scratch_bytes();
    launches = recorder.take_launches();
  }

  int replicas() const { return static_cast<int>(params.size()); }

  // One step of all replicas with the gradients as they stand.
  void step(std::int64_t number, double lr, TaskOrder order = TaskOrder::kForward, std::int64_t uncalibrated = 0) {
    for (std::size_t r = 0; r < params.size(); ++r) {
      prepare_step(rules[r], settings[r], number, lr, params[r], uncalibrated);
    }
    run_launches(launches, replicas(), order, scratch_bytes);
  }
  // The same where one task per launch covers all replicas, as on CUDA.
  void step_once(std::int64_t number, double lr) {
    for (std::size_t r = 0; r < params.size(); ++r) prepare_step(rules[r], settings[r], number, lr, params[r]);
    for (const Launch& launch : launches) launch.run({});
  }

  Index size, stride;
  FloatArray weights, gradients;
  std::vector<FloatArray> slots;
  std::vector<StepParams> params;
  std::vector<ReplicaStatus> status;
  std::vector<int> rules;
  std::vector<Settings> settings;
  std::vector<CodeMemory> code_memory;
  Bytes scratch_bytes = 0;
  std::vector<Launch> launches;
};

}  // namespace gridstep::test
