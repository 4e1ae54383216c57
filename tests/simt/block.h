// One block of a kernel: its threads, their rendezvous, its shared memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "async_copies.h"
#include "fiber.h"
#include "simt.h"

namespace simt::rt {

constexpr unsigned kWarpLanes = 32;

// xorshift64*
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0x1234567ull) {}
  std::size_t below(std::size_t n);

 private:
  std::uint64_t state_;
};

std::string text(Site site);
bool same_place(Site a, Site b);
inline bool has_lane(std::uint32_t mask, unsigned lane) { return (mask >> lane & 1u) != 0; }

// Runs the blocks of one launch, one after another.
class BlockRunner {
 public:
  explicit BlockRunner(const KernelLaunch& launch);
  ~BlockRunner();
  BlockRunner(const BlockRunner&) = delete;
  BlockRunner& operator=(const BlockRunner&) = delete;

  // Returns what was wrong, or nothing. Not to be used again after a fault.
  const std::string& run(uint3 block);

  // Called by the threads of the block, on their fibers.
  [[noreturn]] void thread_loop(Fiber* fiber);
  int barrier(Vote vote, int predicate, Site site);
  struct WarpCall {
    WarpOp op;
    std::uint32_t mask;
    std::uint64_t value = 0;  // the lane's, and its result
    int argument = 0, width = 32;
    const char* name = nullptr;  // kCollective: what it is called, how it computes, and the lane's data
    Exchange exchange = nullptr;
    void* data = nullptr;
  };
  std::uint64_t warp(const WarpCall& call, Site site);
  unsigned lane_index() const { return current_->flat % kWarpLanes; }
  void before_atomic(const volatile void* address);
  void after_atomic(const volatile void* address);
  void fence();
  void copy_async(const AsyncCopies::Copy& copy, Site site);
  AsyncCopies& copies() { return current_->copies; }
  std::string place() const;  // kernel, block and thread
  void* dynamic_shared() { return dynamic_.data; }
  void* shared_slot(int slot, std::size_t bytes, std::size_t alignment);
  [[noreturn]] void fail(const std::string& what, Site site);

 private:
  enum class State : std::uint8_t { kFresh, kReady, kRunning, kAtBarrier, kAtWarp, kDone };

  struct Thread {
    uint3 index{};
    unsigned flat = 0;
    State state = State::kFresh;
    Fiber* fiber = nullptr;
    Site site{};
    WarpCall call{};
    AsyncCopies copies;
    void* awaited = nullptr;                    // race detector: what it acquires when it goes on
    bool fenced = false;                        // race detector: it has passed a fence
    std::vector<const volatile void*> atomics;  // race detector: those since the last fence
  };

  // A rendezvous in progress: one per distinct mask of a warp.
  struct OpenOp {
    std::uint32_t arrived = 0;
    WarpCall call{};
    Site site{};
    char* sync = nullptr;  // race detector
  };

  struct Warp {
    std::uint32_t all = 0, alive = 0;
    unsigned count = 0;
    OpenOp open[kWarpLanes];
    unsigned syncs = 0;
    char sync[64] = {};
  };

  struct Memory {
    unsigned char* data = nullptr;
    std::size_t bytes = 0;
  };

  void reset();
  void enter(Thread* thread);
  void finish(Thread* thread);
  void wait(Thread* thread);
  Thread* pick();
  Thread* next();
  void dispatch(Fiber& from, Thread* thread);
  void release(Thread* thread);
  void check_barrier();
  void complete(unsigned warp, unsigned index);
  void exchange(const OpenOp& open, Thread* lanes);
  void shuffle(const OpenOp& open, Thread* lanes);
  static void match(const OpenOp& open, Thread* lanes);
  static void reduce(const OpenOp& open, Thread* lanes);
  static const char* name_of(const WarpCall& call);
  void new_shared_memory();
  Memory poisoned(std::size_t bytes);
  [[noreturn]] void deadlock();

  KernelLaunch launch_;
  Schedule schedule_;
  unsigned count_;  // threads of a block
  Random random_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;
  std::vector<Thread*> ready_;
  unsigned next_fresh_ = 0, live_ = 0, arrived_ = 0, votes_ = 0;
  Vote vote_{};
  Site barrier_site_{};
  int barrier_result_ = 0;
  unsigned atomics_ = 0;  // of the running thread since it last waited
  Thread* current_ = nullptr;
  Fiber main_;
  Memory dynamic_;
  std::vector<Memory> slots_;
  std::size_t slot_bytes_ = 0;
  std::vector<Memory> retired_;  // race detector: of earlier blocks
  unsigned barriers_ = 0;
  char started_ = 0, ended_ = 0, barrier_sync_[2] = {};  // race detector: addresses to meet at
  std::string error_;
};

// The block that runs in this thread; null outside launches.
BlockRunner*& current_block();

}  // namespace simt::rt
