#include "block.h"

#include <algorithm>
#include <map>
#include <new>
#include <numeric>

#include "race.h"
#include "symbols.h"

#if defined(SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace simt::rt {
namespace {

constexpr std::align_val_t kSharedAlignment{128};
constexpr std::size_t kMostStaticShared = 48 * 1024;
constexpr unsigned kMostAtomics = 10'000'000;

// Thrown on the failing thread's fiber only.
struct Abort {};

void enter_fiber(Fiber* fiber) {
  entered_fiber();
  current_block()->thread_loop(fiber);
}

FiberPool& fibers() {
  static thread_local FiberPool pool(&enter_fiber);
  return pool;
}

std::string text(uint3 i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

}  // namespace

std::string text(Site site) { return std::string(site.file) + ":" + std::to_string(site.line); }

bool same_place(Site a, Site b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

BlockRunner*& current_block() {
  static thread_local BlockRunner* block = nullptr;
  return block;
}

std::size_t Random::below(std::size_t n) {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return static_cast<std::size_t>((state_ * 0x2545F4914F6CDD1Dull) >> 11) % n;
}

BlockRunner::BlockRunner(const KernelLaunch& launch)
    : launch_(launch),
      schedule_(schedule()),
      count_(launch.block.x * launch.block.y * launch.block.z),
      random_(schedule_.seed),
      threads_(count_),
      warps_((count_ + kWarpLanes - 1) / kWarpLanes),
      order_(count_) {
  ready_.reserve(count_);
  std::iota(order_.begin(), order_.end(), 0u);
  if (schedule_.order == Order::kReverse) std::reverse(order_.begin(), order_.end());
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].flat = i;
    threads_[i].index =
        uint3{i % launch.block.x, i / launch.block.x % launch.block.y, i / (launch.block.x * launch.block.y)};
  }
  fibers().prepare(std::uint64_t{count_} * launch.grid.x * launch.grid.y * launch.grid.z);
  describe_own_stack(main_);
}

BlockRunner::~BlockRunner() {
  race::acquire(&ended_);
  fibers().recycle();
  retired_.push_back(dynamic_);
  retired_.insert(retired_.end(), slots_.begin(), slots_.end());
  for (const Memory& memory : retired_) ::operator delete[](memory.data, kSharedAlignment);
}

void BlockRunner::reset() {
  ready_.clear();
  next_fresh_ = arrived_ = 0;
  live_ = count_;
  if (schedule_.order == Order::kRandom) {
    for (std::size_t i = count_; i > 1; --i) std::swap(order_[i - 1], order_[random_.below(i)]);
  }
  for (Thread& thread : threads_) {
    thread.state = State::kFresh;
    thread.fiber = nullptr;
    thread.copies.clear();
    thread.awaited = nullptr;
    thread.fenced = false;
    thread.atomics.clear();
  }
  for (unsigned w = 0; w < warps_.size(); ++w) {
    const unsigned lanes = std::min(kWarpLanes, count_ - w * kWarpLanes);
    warps_[w].all = warps_[w].alive = lanes == kWarpLanes ? 0xffffffffu : (1u << lanes) - 1;
    warps_[w].count = 0;
  }
  new_shared_memory();
}

const std::string& BlockRunner::run(uint3 block) {
  current_block() = this;
  blockIdx = block;
  blockDim = launch_.block;
  gridDim = launch_.grid;
  remember_context(main_);
  reset();
  race::release(&started_);
  dispatch(main_, pick());
  if (!error_.empty()) fibers().abandon_all();
  current_block() = nullptr;
  return error_;
}

// ---- threads ---------------------------------------------------------------------------------------------------

// Runs thread after thread until one has to wait inside the kernel; another fiber then takes over.
void BlockRunner::thread_loop(Fiber* fiber) {
  for (;;) {
    BlockRunner* const block = current_block();  // a fiber outlives the launch that made it
    auto* const thread = static_cast<Thread*>(fiber->start);
    thread->fiber = fiber;
    Thread* following = nullptr;
    bool failed = false;
    try {
      block->enter(thread);
      if constexpr (race::kOn) {
        race::acquire(&block->started_);
        const race::Unwatched unwatched;
        name_fiber(*fiber, block->place());
      }
      block->launch_.invoke(block->launch_.arguments);
      block->finish(thread);
      following = block->next();
    } catch (const Abort&) {
      failed = true;
    }
    if (!race::kOn && following != nullptr && following->fiber == nullptr) {
      fiber->start = following;  // the next thread in place, without a switch
      continue;
    }
    fibers().put(fiber);
    if (failed) {
      race::release(&block->ended_);
      switch_to(*fiber, block->main_);
    } else {
      block->dispatch(*fiber, following);
    }
  }
}

void BlockRunner::enter(Thread* thread) {
  current_ = thread;
  atomics_ = 0;
  thread->state = State::kRunning;
  threadIdx = thread->index;
  if (thread->awaited != nullptr) race::acquire(thread->awaited);
  thread->awaited = nullptr;
}

void BlockRunner::finish(Thread* thread) {
  thread->copies.land_all();
  thread->state = State::kDone;
  --live_;
  race::release(&ended_);
  const unsigned w = thread->flat / kWarpLanes;
  Warp& warp = warps_[w];
  warp.alive &= ~(1u << thread->flat % kWarpLanes);
  for (unsigned i = 0; i < warp.count; ++i) {
    if (warp.open[i].arrived == (warp.open[i].call.mask & warp.alive)) {
      complete(w, i);
      break;
    }
  }
  if (arrived_ != 0) check_barrier();
}

void BlockRunner::wait(Thread* thread) {
  Thread* const following = next();
  if (following != thread) dispatch(*thread->fiber, following);
  enter(thread);
}

// The thread to run next; null when none can.
BlockRunner::Thread* BlockRunner::pick() {
  const std::size_t fresh = count_ - next_fresh_;
  if (schedule_.order == Order::kRandom) {
    if (ready_.size() + fresh == 0) return nullptr;
    const std::size_t k = random_.below(ready_.size() + fresh);
    if (k >= ready_.size()) return &threads_[order_[next_fresh_++]];
    std::swap(ready_[k], ready_.back());
  } else if (ready_.empty()) {
    return fresh == 0 ? nullptr : &threads_[order_[next_fresh_++]];
  }
  Thread* const thread = ready_.back();
  ready_.pop_back();
  return thread;
}

// The same; null means that the block is done.
BlockRunner::Thread* BlockRunner::next() {
  Thread* const thread = pick();
  if (thread == nullptr && live_ != 0) deadlock();
  return thread;
}

void BlockRunner::dispatch(Fiber& from, Thread* thread) {
  if (thread == nullptr) {
    switch_to(from, main_);
  } else if (thread->fiber != nullptr) {
    switch_to(from, *thread->fiber);
  } else {
    Fiber* const fiber = fibers().take();
    fiber->start = thread;
    switch_to(from, *fiber);
  }
}

void BlockRunner::release(Thread* thread) {
  thread->state = State::kReady;
  ready_.push_back(thread);
}

// ---- rendezvous of the block -----------------------------------------------------------------------------------

int BlockRunner::barrier(Vote vote, int predicate, Site site) {
  if (arrived_ == 0) {
    vote_ = vote;
    barrier_site_ = site;
    votes_ = 0;
  } else if (vote_ != vote || !same_place(barrier_site_, site)) {
    fail("divergent barrier: " + std::to_string(arrived_) + " threads of the block wait at " + text(barrier_site_),
         site);
  }
  votes_ += predicate != 0 ? 1 : 0;
  ++arrived_;
  Thread* const thread = current_;
  thread->state = State::kAtBarrier;
  thread->site = site;
  thread->awaited = &barrier_sync_[barriers_ % 2];
  race::release(thread->awaited);
  check_barrier();
  wait(thread);
  return barrier_result_;
}

void BlockRunner::check_barrier() {
  if (arrived_ == 0 || arrived_ != live_) return;
  if (live_ != count_) {
    fail("barrier: " + std::to_string(count_ - live_) + " of " + std::to_string(count_) +
             " threads of the block have exited and never arrive",
         barrier_site_);
  }
  arrived_ = 0;
  ++barriers_;
  barrier_result_ = vote_ == Vote::kCount ? static_cast<int>(votes_)
                    : vote_ == Vote::kAll ? votes_ == live_
                                          : votes_ != 0;
  for (unsigned i = count_; i-- > 0;) {  // the last that is released runs first
    Thread& thread = threads_[order_[i]];
    if (thread.state == State::kAtBarrier) release(&thread);
  }
}

// ---- memory ----------------------------------------------------------------------------------------------------

BlockRunner::Memory BlockRunner::poisoned(std::size_t bytes) {
  const Memory memory{static_cast<unsigned char*>(::operator new[](bytes, kSharedAlignment)), bytes};
  std::memset(memory.data, fill_byte(), bytes);
  return memory;
}

// The race detector takes memory of another block for the same memory used again without order: each gets its own.
void BlockRunner::new_shared_memory() {
  if (dynamic_.data == nullptr && launch_.shared_bytes > 0) dynamic_ = poisoned(launch_.shared_bytes);
  for (Memory* memory = &dynamic_; memory != nullptr;) {
    if (memory->data != nullptr) {
      if constexpr (race::kOn) {
        retired_.push_back(*memory);
        *memory = poisoned(memory->bytes);
      } else {
        std::memset(memory->data, fill_byte(), memory->bytes);
      }
    }
    const std::size_t following = memory == &dynamic_ ? 0 : static_cast<std::size_t>(memory - slots_.data()) + 1;
    memory = following < slots_.size() ? &slots_[following] : nullptr;
  }
}

void* BlockRunner::shared_slot(int slot, std::size_t bytes, std::size_t alignment) {
  const race::Unwatched unwatched;
  const auto index = static_cast<std::size_t>(slot);
  if (index >= slots_.size()) slots_.resize(index + 1);
  Memory& memory = slots_[index];
  if (memory.data == nullptr) {
    if (alignment > static_cast<std::size_t>(kSharedAlignment)) fail("SHARED: alignment above 128", {"?", 0});
    slot_bytes_ += bytes;
    if (slot_bytes_ > kMostStaticShared) fail("more than 48 KiB of static shared memory", {"?", 0});
    memory = poisoned(bytes);
  }
  return memory.data;
}

void BlockRunner::copy_async(const AsyncCopies::Copy& copy, Site site) {
  const auto misaligned = [&](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % copy.size != 0; };
  if (copy.bytes > copy.size) fail("cp.async: more bytes than the copy has", site);
  if (misaligned(copy.to)) fail("cp.async: misaligned destination", site);
  if (copy.bytes > 0 && misaligned(copy.from)) fail("cp.async: misaligned source", site);
#if defined(SIMT_ASAN)
  if (__asan_region_is_poisoned(copy.to, copy.size) != nullptr) fail("cp.async: destination out of bounds", site);
  if (copy.bytes > 0 && __asan_region_is_poisoned(const_cast<void*>(copy.from), copy.bytes) != nullptr) {
    fail("cp.async: source out of bounds", site);
  }
#endif
  {
    const race::Unwatched unwatched;
    copies().issue(copy);
  }
  const bool at_once =
      schedule_.order == Order::kReverse || (schedule_.order == Order::kRandom && random_.below(2) == 0);
  if (at_once) copies().land_all();
}

// A fence lets what was written before it be seen through the atomics after it, and brings in what others let be seen
// through the atomics before it.
void BlockRunner::fence() {
  if constexpr (race::kOn) {
    current_->fenced = true;
    for (const volatile void* address : current_->atomics) race::acquire(const_cast<void*>(address));
    current_->atomics.clear();
  }
}

void BlockRunner::before_atomic(const volatile void* address) {
  if (++atomics_ > kMostAtomics) fail("a thread spins on atomic operations: what it waits for cannot happen", {"?", 0});
  if (race::kOn && current_->fenced) race::release(const_cast<void*>(address));
}

void BlockRunner::after_atomic(const volatile void* address) {
  if constexpr (race::kOn) {
    const race::Unwatched unwatched;
    current_->atomics.push_back(address);
  }
}

// ---- faults ----------------------------------------------------------------------------------------------------

std::string BlockRunner::place() const {
  return kernel_at(launch_.kernel).name + ", block " + text(blockIdx) + ", thread " + text(current_->index) + " of " +
         std::to_string(count_);
}

void BlockRunner::fail(const std::string& what, Site site) {
  const race::Unwatched unwatched;
  error_ = text(site) + ": " + what + " [" + place() + "]";
  throw Abort{};
}

void BlockRunner::deadlock() {
  const race::Unwatched unwatched;
  std::map<std::string, int> waiting;
  Site site{"?", 0};
  for (const Thread& thread : threads_) {
    if (thread.state == State::kDone) continue;
    site = thread.site;
    ++waiting[(thread.state == State::kAtBarrier ? "__syncthreads" : name_of(thread.call)) +
              (" at " + text(thread.site))];
  }
  std::string what = "deadlock, no thread can go on:";
  for (const auto& [where, threads] : waiting) what += " " + std::to_string(threads) + " threads in " + where + ";";
  fail(what + " " + std::to_string(count_ - live_) + " exited", site);
}

}  // namespace simt::rt
