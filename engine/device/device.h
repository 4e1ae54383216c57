// Devices: where memory lives and where launches run. The CPU is built in; CUDA comes with the plug-in (plugin.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/tensor.h"

namespace gridstep {

enum class DeviceKind { kCpu, kCuda };

std::string_view name_of(DeviceKind kind);  // "cpu", "cuda"

// One task of a launch on the CPU: `task` of the launch's tasks, for one replica. `scratch` is this thread's own
// memory, of the size the program's recorder was asked for; its content is undefined. On CUDA a launch is enqueued once
// (task 0, replica 0) and covers all replicas.
struct TaskContext {
  int replica = 0;
  int task = 0;
  std::byte* scratch = nullptr;
};

// One entry of a recorded program. Tasks of one launch are independent; launches of one replica run in order.
// A launch may not allocate, synchronise or read host state that changes from step to step.
struct Launch {
  int node = -1;      // index in the graph, for messages; -1: not from the graph
  std::string label;  // "conv2/backward_data": name in profiles and messages
  int tasks = 1;
  std::function<void(const TaskContext&)> run;
};

// Launches prepared once and run many times. Lives at most as long as its device and the memory the launches touch.
class Replay {
 public:
  virtual ~Replay() = default;
  // As Device::run.
  virtual void run() = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  virtual std::string describe() const = 0;  // "AMD EPYC, 2 threads, AVX2"

  virtual std::byte* allocate(Bytes size) = 0;  // kAlignment-aligned; throws DeviceError when memory does not suffice
  virtual void release(std::byte* p) noexcept = 0;
  virtual Bytes available_bytes() const = 0;
  virtual void fill(std::byte* p, int value, Bytes size) = 0;
  virtual void upload(std::byte* to, const void* from, Bytes size) = 0;
  virtual void download(void* to, const std::byte* from, Bytes size) = 0;

  // Runs the launches in order for replicas [0, replicas). Blocks until done on the CPU; enqueues on CUDA.
  virtual void run(const std::vector<Launch>& launches, int replicas, Bytes scratch_bytes) = 0;
  // The same launches, again and again. With `capture`, CUDA runs them eagerly once (which loads kernels and warms
  // libraries up), then captures them as one CUDA graph; the bits are the same. Elsewhere it is run() each time.
  virtual std::unique_ptr<Replay> prepare(std::vector<Launch> launches, int replicas, Bytes scratch_bytes,
                                          bool capture);
  // From device memory to device memory; enqueued on CUDA.
  virtual void copy(std::byte* to, const std::byte* from, Bytes size) = 0;
  virtual void synchronize() = 0;
  // Tasks that run at the same time on the CPU; 1 elsewhere.
  virtual int threads() const { return 1; }
};

// Owned device memory.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, Bytes size);  // content undefined
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  Bytes size() const { return size_; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  Bytes size_ = 0;
};

// `threads` 0: as many as the process may use. Results do not depend on it.
std::unique_ptr<Device> make_cpu_device(int threads);

}  // namespace gridstep
