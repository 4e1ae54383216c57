#include "fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "race.h"

#if defined(SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(SIMT_UCONTEXT)
// System V: the callee-saved registers go to the stack that is left, whose pointer goes to *save. A new fiber's stack
// holds its own address (r12) and the entry function (r13) for simt_boot.
extern "C" void simt_swap(void** save, void* load);
extern "C" void simt_boot();
asm(R"(
.text
.type simt_swap,@function
simt_swap:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_swap,.-simt_swap
.type simt_boot,@function
simt_boot:
  xorl %ebp, %ebp
  movq %r12, %rdi
  callq *%r13
  ud2
.size simt_boot,.-simt_boot
)");
#endif

namespace simt::rt {
namespace {

constexpr std::size_t kPage = 4096;
#if defined(SIMT_ASAN)
constexpr std::size_t kStackBytes = 256 << 10;  // red zones
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif

#if defined(SIMT_TSAN)
constexpr std::uint64_t kMostFibers = 4096;  // the sanitizer has room for twice as many
#endif

#if defined(SIMT_UCONTEXT)
void (*ucontext_entry)(Fiber*);
void enter_ucontext(unsigned high, unsigned low) {
  ucontext_entry(reinterpret_cast<Fiber*>(static_cast<std::uintptr_t>(high) << 32 | low));
}
#endif

// What the sanitizers know of a fiber that starts afresh.
void forget_context(Fiber& fiber) {
  fiber.fake_stack = nullptr;
#if defined(SIMT_TSAN)
  if (fiber.tsan != nullptr) __tsan_destroy_fiber(fiber.tsan);
  fiber.tsan = __tsan_create_fiber(0);
#endif
}

}  // namespace

FiberPool::~FiberPool() {
  for (const Fiber& fiber : all_) {
#if defined(SIMT_TSAN)
    __tsan_destroy_fiber(fiber.tsan);
#endif
    munmap(fiber.stack - kPage, fiber.size + kPage);
  }
}

Fiber* FiberPool::make() {
  void* const memory =
      mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kPage, PROT_NONE);  // a stack that overflows faults
  Fiber& fiber = all_.emplace_back();
  fiber.stack = static_cast<char*>(memory) + kPage;
  fiber.size = kStackBytes;
  boot(fiber, all_.size());
  return &fiber;
}

void FiberPool::prepare([[maybe_unused]] std::uint64_t threads) {
#if defined(SIMT_TSAN)
  while (all_.size() < std::min<std::uint64_t>(threads, kMostFibers)) free_.push_back(make());
#endif
}

Fiber* FiberPool::take() {
  if (free_.empty() && first_used_ < used_.size()) return used_[first_used_++];
  if (free_.empty()) return make();
  Fiber* const fiber = free_.back();
  free_.pop_back();
  return fiber;
}

void FiberPool::put(Fiber* fiber) {
  const race::Unwatched unwatched;
#if defined(SIMT_TSAN)
  used_.push_back(fiber);
#else
  free_.push_back(fiber);
#endif
}

void FiberPool::recycle() {
  free_.insert(free_.end(), used_.begin() + static_cast<std::ptrdiff_t>(first_used_), used_.end());
  used_.clear();
  first_used_ = 0;
}

void FiberPool::abandon_all() {
#if defined(SIMT_TSAN)  // what the launch did comes before what follows it: an ordered visit to every fiber
  void* const own = __tsan_get_current_fiber();
  for (const Fiber& fiber : all_) {
    __tsan_switch_to_fiber(fiber.tsan, 0);
    __tsan_switch_to_fiber(own, 0);
  }
#endif
  free_.clear();
  used_.clear();
  first_used_ = 0;
  std::size_t index = 0;
  for (Fiber& fiber : all_) {
#if defined(SIMT_ASAN)
    __asan_unpoison_memory_region(fiber.stack, fiber.size);
#endif
    boot(fiber, ++index);
    free_.push_back(&fiber);
  }
}

#if !defined(SIMT_UCONTEXT)

void FiberPool::boot(Fiber& fiber, std::size_t index) {
  forget_context(fiber);
  // The tops of different stacks must not share cache sets: they are staggered by 5 lines.
  auto** sp = reinterpret_cast<void**>(fiber.stack + fiber.size - index * 5 % 61 * 64);
  *--sp = nullptr;
  *--sp = nullptr;  // keeps simt_boot's frame 16-byte aligned
  *--sp = reinterpret_cast<void*>(&simt_boot);
  *--sp = nullptr;                          // rbp
  *--sp = nullptr;                          // rbx
  *--sp = &fiber;                           // r12
  *--sp = reinterpret_cast<void*>(entry_);  // r13
  *--sp = nullptr;                          // r14
  *--sp = nullptr;                          // r15
  fiber.stack_pointer = sp;
}

#else

void FiberPool::boot(Fiber& fiber, std::size_t) {
  forget_context(fiber);
  ucontext_entry = entry_;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = fiber.size;
  fiber.context.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(&fiber);
  makecontext(&fiber.context, reinterpret_cast<void (*)()>(&enter_ucontext), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
}

#endif

void switch_to(Fiber& from, Fiber& to) {
#if defined(SIMT_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.size);
#endif
#if defined(SIMT_TSAN)
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(SIMT_UCONTEXT)
  swapcontext(&from.context, &to.context);
#else
  simt_swap(&from.stack_pointer, to.stack_pointer);
#endif
#if defined(SIMT_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void describe_own_stack([[maybe_unused]] Fiber& main) {
#if defined(SIMT_ASAN)
  static thread_local const Fiber own = [] {  // reads /proc: once per thread
    Fiber fiber;
    pthread_attr_t attributes;
    void* lowest = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &lowest, &fiber.size);
    pthread_attr_destroy(&attributes);
    fiber.stack = static_cast<char*>(lowest);
    return fiber;
  }();
  main.stack = own.stack;
  main.size = own.size;
#endif
}

void remember_context([[maybe_unused]] Fiber& main) {
#if defined(SIMT_TSAN)
  main.tsan = __tsan_get_current_fiber();
#endif
}

void name_fiber([[maybe_unused]] Fiber& fiber, [[maybe_unused]] const std::string& name) {
#if defined(SIMT_TSAN)
  __tsan_set_fiber_name(fiber.tsan, name.c_str());
#endif
}

void entered_fiber() {
#if defined(SIMT_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace simt::rt
