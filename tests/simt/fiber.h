// Stacks that the harness switches between.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#endif
#if !defined(__x86_64__)
#define SIMT_UCONTEXT 1
#include <ucontext.h>
#endif

namespace simt::rt {

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;  // lowest usable byte
  std::size_t size = 0;
  void* fake_stack = nullptr;  // the address sanitizer's
  void* start = nullptr;       // for the entry function
#if defined(SIMT_UCONTEXT)
  ucontext_t context{};
#endif
};

// Leaves `from`, which goes on when something switches back to it.
void switch_to(Fiber& from, Fiber& to);

// Fibers are kept and used again. A fiber runs `entry(fiber)`, which must not return.
class FiberPool {
 public:
  explicit FiberPool(void (*entry)(Fiber*)) : entry_(entry) {}
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  Fiber* take();
  void put(Fiber* fiber) { free_.push_back(fiber); }
  // Forgets what stands on the stacks, after a failure: kernels own nothing that would have to be released.
  void abandon_all();

 private:
  void boot(Fiber& fiber, std::size_t index);

  void (*entry_)(Fiber*);
  std::deque<Fiber> all_;
  std::vector<Fiber*> free_;
};

// What the sanitizer must know about the stack of the thread that calls this.
void describe_own_stack(Fiber& main);
// First thing in an entry function.
void entered_fiber();

}  // namespace simt::rt
