#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/base/error.h"
#include "engine/device/cpu_info.h"
#include "engine/device/device.h"

namespace gridstep {
namespace {

// Waits for something that is mostly near: true once it holds, false when it is time to sleep. A thread that sleeps
// between two steps may be woken on the core of the thread that wakes it, and share it from then on.
template <class Condition>
bool spin_until(Condition&& condition) {
  constexpr int kSpins = 2000;  // about 0.1 ms
  for (int spin = 0; spin < kSpins; ++spin) {
    if (condition()) return true;
    __builtin_ia32_pause();
  }
  return false;
}

// Threads that meet at each launch. Waiting spins briefly, since a launch is often shorter than a wake-up, then yields
// the core.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}

  void wait() {
    const unsigned generation = generation_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      arrived_.store(0, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      generation_.notify_all();
      return;
    }
    if (spin_until([&] { return generation_.load(std::memory_order_acquire) != generation; })) return;
    generation_.wait(generation, std::memory_order_acquire);
  }

 private:
  const int count_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
};

// The work of one Device::run call. Whole replicas go to single threads while there are at least as many as threads: no
// waiting at all, and a replica's activations stay in one core's cache. What is left is done together, launch by
// launch.
class Work {
 public:
  // `counters`: one per launch, zero.
  Work(const std::vector<Launch>& launches, int replicas, int threads, std::vector<std::atomic<int>>& counters)
      : launches_(launches),
        whole_(replicas - replicas % threads),
        replicas_(replicas),
        barrier_(threads),
        counters_(counters) {}

  void run(std::byte* scratch) {
    try {
      for (int r = next(next_); r < whole_; r = next(next_)) run_replica(r, scratch);
    } catch (...) {
      note_failure();
    }
    if (whole_ == replicas_) return;
    for (std::size_t i = 0; i < launches_.size(); ++i) {
      try {
        if (!failed_.load(std::memory_order_relaxed)) run_together(launches_[i], counters_[i], scratch);
      } catch (...) {
        note_failure();
      }
      barrier_.wait();
    }
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  // Hands out numbers and orders nothing else: tasks of one launch stay unordered, so that the thread sanitizer sees
  // when one needs what another writes.
  static int next(std::atomic<int>& counter) { return counter.fetch_add(1, std::memory_order_relaxed); }

  void run_replica(int replica, std::byte* scratch) {
    for (const Launch& launch : launches_) {
      for (int t = 0; t < launch.tasks; ++t) launch.run({replica, t, scratch});
    }
  }

  void run_together(const Launch& launch, std::atomic<int>& counter, std::byte* scratch) {
    const int total = (replicas_ - whole_) * launch.tasks;
    for (int i = next(counter); i < total; i = next(counter)) {
      launch.run({whole_ + i / launch.tasks, i % launch.tasks, scratch});
    }
  }

  void note_failure() {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    failed_ = true;
  }

  const std::vector<Launch>& launches_;
  const int whole_, replicas_;
  std::atomic<int> next_{0};
  Barrier barrier_;
  std::vector<std::atomic<int>>& counters_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

// An empty tensor may have no address, which memcpy must not see.
void copy_bytes(void* to, const void* from, Bytes size) {
  if (size > 0) std::memcpy(to, from, static_cast<std::size_t>(size));
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : threads_(std::max(1, threads)), scratch_(static_cast<std::size_t>(threads_)) {
    for (int i = 1; i < threads_; ++i) pool_.emplace_back([this, i] { serve(i); });
  }

  ~CpuDevice() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : pool_) t.join();
  }

  DeviceKind kind() const override { return DeviceKind::kCpu; }
  std::string describe() const override {
    return fmt::format("{}, {} thread{}, {}", cpu_model(), threads_, threads_ == 1 ? "" : "s", cpu_instruction_set());
  }

  std::byte* allocate(Bytes size) override {
    void* p = std::aligned_alloc(static_cast<std::size_t>(kAlignment),
                                 static_cast<std::size_t>(align_up(std::max<Bytes>(size, 1))));
    if (p == nullptr)
      fail<DeviceError>("not enough memory: {:.1f} MiB asked for", static_cast<double>(size) / 1048576.0);
    return static_cast<std::byte*>(p);
  }
  void release(std::byte* p) noexcept override { std::free(p); }
  Bytes available_bytes() const override { return cpu_available_bytes(); }
  void fill(std::byte* p, int value, Bytes size) override {
    if (size > 0) std::memset(p, value, static_cast<std::size_t>(size));
  }
  void upload(std::byte* to, const void* from, Bytes size) override { copy_bytes(to, from, size); }
  void download(void* to, const std::byte* from, Bytes size) override { copy_bytes(to, from, size); }
  void copy(std::byte* to, const std::byte* from, Bytes size) override { copy_bytes(to, from, size); }
  void synchronize() override {}
  int threads() const override { return threads_; }

  void run(const std::vector<Launch>& launches, int replicas, Bytes scratch_bytes) override {
    for (auto& s : scratch_) {
      if (s.size() < scratch_bytes) s = Buffer(*this, scratch_bytes);
    }
    if (counters_.size() < launches.size()) counters_ = std::vector<std::atomic<int>>(launches.size());
    for (auto& c : counters_) c.store(0, std::memory_order_relaxed);
    Work work(launches, replicas, threads_, counters_);
    if (threads_ > 1) {
      {
        const std::lock_guard lock(mutex_);
        work_ = &work;
        busy_.store(threads_ - 1, std::memory_order_relaxed);
        generation_.fetch_add(1, std::memory_order_release);
      }
      wake_.notify_all();
    }
    work.run(scratch_[0].data());
    if (threads_ > 1) {
      const auto done = [&] { return busy_.load(std::memory_order_acquire) == 0; };
      if (!spin_until(done)) {
        std::unique_lock lock(mutex_);
        done_.wait(lock, done);
      }
    }
    work.rethrow();
  }

 private:
  void serve(int index) {
    std::uint64_t seen = 0;
    const auto called = [&] {
      return stop_.load(std::memory_order_relaxed) || generation_.load(std::memory_order_acquire) != seen;
    };
    for (;;) {
      if (!spin_until(called)) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, called);
      }
      if (stop_.load(std::memory_order_relaxed)) return;
      seen = generation_.load(std::memory_order_acquire);
      work_->run(scratch_[static_cast<std::size_t>(index)].data());
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
      { const std::lock_guard lock(mutex_); }  // whoever saw busy_ > 0 under the mutex is waiting by now
      done_.notify_one();
    }
  }

  const int threads_;
  std::vector<Buffer> scratch_;
  std::vector<std::atomic<int>> counters_;
  std::vector<std::thread> pool_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Work* work_ = nullptr;  // published by generation_
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads) {
  return std::make_unique<CpuDevice>(threads > 0 ? threads : cpu_usable_threads());
}

}  // namespace gridstep
