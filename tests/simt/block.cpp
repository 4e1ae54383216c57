#include "block.h"

#include <algorithm>
#include <map>
#include <new>
#include <numeric>

namespace simt::rt {
namespace {

constexpr std::align_val_t kSharedAlignment{128};
constexpr std::size_t kMostStaticShared = 48 * 1024;
constexpr unsigned kMostAtomics = 100'000'000;
constexpr int kPoison = 0xff;

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

const char* name(WarpOp op) {
  static constexpr const char* kNames[] = {"__syncwarp",      "__shfl_sync",   "__shfl_up_sync", "__shfl_down_sync",
                                           "__shfl_xor_sync", "__ballot_sync", "__any_sync",     "__all_sync"};
  return kNames[static_cast<int>(op)];
}

std::string text(Site site) { return std::string(site.file) + ":" + std::to_string(site.line); }

std::string text(uint3 i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

bool same_place(Site a, Site b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

bool has_lane(std::uint32_t mask, unsigned lane) { return (mask >> lane & 1u) != 0; }

unsigned char* allocate(std::size_t bytes) {
  return static_cast<unsigned char*>(::operator new[](bytes, kSharedAlignment));
}

}  // namespace

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
  if (launch.shared_bytes > 0) dynamic_ = {allocate(launch.shared_bytes), launch.shared_bytes};
  describe_own_stack(main_);
}

BlockRunner::~BlockRunner() {
  ::operator delete[](dynamic_.data, kSharedAlignment);
  for (const Memory& slot : slots_) ::operator delete[](slot.data, kSharedAlignment);
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
  }
  for (unsigned w = 0; w < warps_.size(); ++w) {
    const unsigned lanes = std::min(kWarpLanes, count_ - w * kWarpLanes);
    warps_[w].all = warps_[w].alive = lanes == kWarpLanes ? 0xffffffffu : (1u << lanes) - 1;
    warps_[w].count = 0;
  }
  if (dynamic_.data != nullptr) std::memset(dynamic_.data, kPoison, dynamic_.bytes);
  for (const Memory& slot : slots_) {
    if (slot.data != nullptr) std::memset(slot.data, kPoison, slot.bytes);
  }
}

const std::string& BlockRunner::run(uint3 block) {
  current_block() = this;
  blockIdx = block;
  blockDim = launch_.block;
  gridDim = launch_.grid;
  reset();
  dispatch(main_, pick());
  if (!error_.empty()) fibers().abandon_all();
  current_block() = nullptr;
  return error_;
}

// ---- threads
// ---------------------------------------------------------------------------------------------------------

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
      block->launch_.invoke(block->launch_.arguments);
      block->finish(thread);
      following = block->next();
    } catch (const Abort&) {
      failed = true;
    }
    if (following != nullptr && following->fiber == nullptr) {
      fiber->start = following;  // the next thread in place, without a switch
      continue;
    }
    fibers().put(fiber);
    if (failed) {
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
}

void BlockRunner::finish(Thread* thread) {
  thread->state = State::kDone;
  --live_;
  const unsigned w = thread->flat / kWarpLanes;
  Warp& warp = warps_[w];
  warp.alive &= ~(1u << thread->flat % kWarpLanes);
  for (unsigned i = 0; i < warp.count; ++i) {
    if (warp.open[i].arrived == (warp.open[i].mask & warp.alive)) {
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

// ---- rendezvous of the block
// -----------------------------------------------------------------------------------------

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
  barrier_result_ = vote_ == Vote::kCount ? static_cast<int>(votes_)
                    : vote_ == Vote::kAll ? votes_ == live_
                                          : votes_ != 0;
  for (unsigned i = count_; i-- > 0;) {  // the last that is released runs first
    Thread& thread = threads_[order_[i]];
    if (thread.state == State::kAtBarrier) release(&thread);
  }
}

// ---- rendezvous of a warp
// --------------------------------------------------------------------------------------------

std::uint64_t BlockRunner::warp(WarpOp op, std::uint32_t mask, std::uint64_t value, int argument, int width,
                                Site site) {
  Thread* const thread = current_;
  const unsigned lane = thread->flat % kWarpLanes, w = thread->flat / kWarpLanes;
  Warp& warp = warps_[w];
  if (!has_lane(mask, lane)) fail(std::string(name(op)) + ": the calling lane is not in its own mask", site);
  thread->value = value;
  thread->argument = argument;
  thread->width = width;
  thread->site = site;
  thread->op = op;
  thread->state = State::kAtWarp;
  unsigned i = 0;
  while (i < warp.count && warp.open[i].mask != mask) ++i;
  if (i == warp.count) {
    warp.open[warp.count++] = {mask, 0, op, site};
  } else if (warp.open[i].op != op || !same_place(warp.open[i].site, site)) {
    fail(std::string("divergent warp: ") + name(op) + " here, while lanes of the same mask wait in " +
             name(warp.open[i].op) + " at " + text(warp.open[i].site),
         site);
  }
  OpenOp& open = warp.open[i];
  open.arrived |= 1u << lane;
  if (open.arrived == (mask & warp.alive)) complete(w, i);
  wait(thread);
  return thread->value;
}

void BlockRunner::complete(unsigned w, unsigned index) {
  Warp& warp = warps_[w];
  const OpenOp open = warp.open[index];
  if (const std::uint32_t gone = open.mask & warp.all & ~warp.alive; gone != 0) {
    fail(
        std::string(name(open.op)) + ": " + std::to_string(__builtin_popcount(gone)) + " lanes of the mask have exited",
        open.site);
  }
  warp.open[index] = warp.open[--warp.count];
  Thread* const lanes = &threads_[w * kWarpLanes];
  exchange(open, lanes);
  for (unsigned i = 0; i < kWarpLanes; ++i) {
    const unsigned lane = schedule_.order == Order::kReverse ? i : kWarpLanes - 1 - i;
    if (has_lane(open.arrived, lane)) release(&lanes[lane]);
  }
}

void BlockRunner::exchange(const OpenOp& open, Thread* lanes) {
  std::uint64_t in[kWarpLanes] = {};
  std::uint32_t ballot = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!has_lane(open.arrived, lane)) continue;
    in[lane] = lanes[lane].value;
    ballot |= (in[lane] != 0 ? 1u : 0u) << lane;
  }
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!has_lane(open.arrived, lane)) continue;
    Thread& thread = lanes[lane];
    switch (open.op) {
      case WarpOp::kSync:
        break;
      case WarpOp::kBallot:
        thread.value = ballot;
        break;
      case WarpOp::kAny:
        thread.value = ballot != 0 ? 1 : 0;
        break;
      case WarpOp::kAll:
        thread.value = ballot == open.arrived ? 1 : 0;
        break;
      default:
        const int source = source_lane(thread, open.op, static_cast<int>(lane));
        if (source < 0 || source >= static_cast<int>(kWarpLanes) ||
            !has_lane(open.arrived, static_cast<unsigned>(source))) {
          current_ = &thread;
          fail(std::string(name(open.op)) + ": lane " + std::to_string(lane) + " reads lane " + std::to_string(source) +
                   ", which takes no part",
               open.site);
        }
        thread.value = in[source];
    }
  }
}

int BlockRunner::source_lane(const Thread& thread, WarpOp op, int lane) const {
  const int segment = thread.width - 1, first = lane & ~segment, last = lane | segment;
  switch (op) {
    case WarpOp::kShuffle:
      return first | (thread.argument & segment);
    case WarpOp::kShuffleUp:
      return lane - thread.argument < first ? lane : lane - thread.argument;
    case WarpOp::kShuffleDown:
      return lane + thread.argument > last ? lane : lane + thread.argument;
    default:
      return (lane ^ thread.argument) > last ? lane : lane ^ thread.argument;
  }
}

// ---- memory and faults
// -----------------------------------------------------------------------------------------------

void* BlockRunner::shared_slot(int slot, std::size_t bytes, std::size_t alignment) {
  const auto index = static_cast<std::size_t>(slot);
  if (index >= slots_.size()) slots_.resize(index + 1);
  Memory& memory = slots_[index];
  if (memory.data == nullptr) {
    if (alignment > static_cast<std::size_t>(kSharedAlignment)) fail("SHARED: alignment above 128", {"?", 0});
    slot_bytes_ += bytes;
    if (slot_bytes_ > kMostStaticShared) fail("more than 48 KiB of static shared memory", {"?", 0});
    memory = {allocate(bytes), bytes};
    std::memset(memory.data, kPoison, bytes);
  }
  return memory.data;
}

void BlockRunner::count_atomic() {
  if (++atomics_ > kMostAtomics) fail("a thread spins on atomic operations: what it waits for cannot happen", {"?", 0});
}

void BlockRunner::fail(const std::string& what, Site site) {
  error_ = text(site) + ": " + what + " [block " + text(blockIdx) + ", thread " + text(current_->index) + " of " +
           std::to_string(count_) + "]";
  throw Abort{};
}

void BlockRunner::deadlock() {
  std::map<std::string, int> waiting;
  Site site{"?", 0};
  for (const Thread& thread : threads_) {
    if (thread.state == State::kDone) continue;
    site = thread.site;
    ++waiting[(thread.state == State::kAtBarrier ? "__syncthreads" : name(thread.op)) + (" at " + text(thread.site))];
  }
  std::string what = "deadlock, no thread can go on:";
  for (const auto& [place, threads] : waiting) what += " " + std::to_string(threads) + " threads in " + place + ";";
  fail(what + " " + std::to_string(count_ - live_) + " exited", site);
}

}  // namespace simt::rt
