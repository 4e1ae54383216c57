// Stacks that the harness switches between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
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
  void* tsan = nullptr;        // the thread sanitizer's
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

  // Before a launch of so many threads. Under the thread sanitizer each gets a fiber of its own, made now, since a
  // fiber comes after everything its maker has seen; a launch of more than it has room for uses fibers again.
  void prepare(std::uint64_t threads);
  Fiber* take();
  void put(Fiber* fiber);
  // After a launch: its fibers are free for the next.
  void recycle();
  // Forgets what stands on the stacks, after a failure: kernels own nothing that would have to be released.
  void abandon_all();

 private:
  void boot(Fiber& fiber, std::size_t index);

  void (*entry_)(Fiber*);
  Fiber* make();

  std::deque<Fiber> all_;
  std::vector<Fiber*> free_, used_;
  std::size_t first_used_ = 0;
};

// What the sanitizer must know about the stack of the thread that calls this.
void describe_own_stack(Fiber& main);
// The main fiber is what runs now.
void remember_context(Fiber& main);
// What the thread sanitizer calls the fiber in its reports.
void name_fiber(Fiber& fiber, const std::string& name);
// First thing in an entry function.
void entered_fiber();

}  // namespace simt::rt
