// SIMT harness: runs CUDA kernels, compiled as plain C++, on the host (docs/simt.md).
//
// A CUDA thread that has to wait becomes a fiber; one that never waits is a plain function call. Barriers, shuffles,
// votes and matrix instructions are rendezvous points that check their own rules: divergent or missing threads, absent
// lanes, deadlock. A violation ends the launch with simt::Failure, which names file, line, kernel, block and thread.
// Blocks run one after another; shared memory is filled with fill_byte() before each. For tests only.
//
// Not here: clusters, cooperative groups, textures, streams as concurrency, waiting on another block, timing. The order
// of threads is a schedule's; races that no order shows are the thread sanitizer's (SIMT_TSAN).
#pragma once

#if defined(__CUDACC__)
#error "simt.h is for the host copy of kernels; nvcc must not see it"
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// A plain __shared__ would be one variable for all blocks at best: kernels declare it with SHARED and DYN_SHARED.
#define __shared__ static_assert(false, "declare shared memory with SHARED() or DYN_SHARED()");
#define __launch_bounds__(...)
#define __DEVICE_LAUNCH_PARAMETERS_H__  // keeps out the toolkit's declarations of threadIdx and its kin
#include <driver_types.h>
#include <vector_functions.h>
#include <vector_types.h>

#include "stream.h"

inline constinit thread_local uint3 threadIdx{};
inline constinit thread_local uint3 blockIdx{};
inline constinit thread_local dim3 blockDim{};
inline constinit thread_local dim3 gridDim{};
inline constexpr int warpSize = 32;

// Where a call stands in the source: SIMT_SITE as last parameters, SIMT_HERE inside.
#define SIMT_SITE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()
#define SIMT_HERE \
  ::simt::rt::Site { file_, line_ }

namespace simt {

// In which order runnable threads, and the blocks of a launch, are picked. A thread runs until it must wait. Forward:
// cp.async lands when it is waited for; reverse: at once; random: either.
enum class Order : std::uint8_t { kForward, kReverse, kRandom };

struct Schedule {
  Order order = Order::kForward;
  std::uint64_t seed = 1;  // for kRandom
};
Schedule& schedule();  // of the launches to come

// What memory that nothing wrote holds: NaN in the forward schedule, another value in the reverse one, so that integers
// read too early differ between the two.
unsigned char fill_byte();

// Whether the thread sanitizer watches: it is slow, and every CUDA thread costs it a fiber.
#if defined(SIMT_TSAN)
inline constexpr bool kRaceDetector = true;
#else
inline constexpr bool kRaceDetector = false;
#endif

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace rt {

struct Site {
  const char* file;
  int line;
};

struct KernelLaunch {
  const void* kernel;
  dim3 grid, block;
  std::size_t shared_bytes;
  void (*invoke)(void*);
  void* arguments;
};
void run(const KernelLaunch& launch);  // throws Failure

enum class Vote : std::uint8_t { kNone, kCount, kAll, kAny };
enum class WarpOp : std::uint8_t {
  kSync,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kMatchAny,
  kMatchAll,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
  kCollective,
};

// Computes what 32 lanes take away from what they bring; lanes[i] is lane i's data.
using Exchange = void (*)(void* const* lanes);

int barrier(Vote vote, int predicate, Site site);
std::uint64_t warp(WarpOp op, std::uint32_t mask, std::uint64_t value, int argument, int width, Site site);
void warp_collective(const char* name, Exchange exchange, void* data, Site site);
unsigned lane_index();
[[noreturn]] void fail(const std::string& what, Site site);

void before_atomic(const volatile void* address);
void after_atomic(const volatile void* address);
void fence();

void copy_async(void* shared, const void* global, int size, int bytes, Site site);
void commit_copies();
void wait_for_copies(int pending_groups);
std::uint64_t copies_so_far();  // cp.async by any launch

void* dynamic_shared();
int new_shared_slot();
void* shared_slot(int slot, std::size_t bytes, std::size_t alignment);

template <class Tag>
struct SharedSlot {
  inline static const int index = new_shared_slot();  // before main: no guard that would order threads
};

// Behind SHARED: the lambda's type tells the variables apart. Every block gets memory of exactly this size.
template <class T, class Tag>
T& shared(Tag) {
  return *static_cast<T*>(shared_slot(SharedSlot<Tag>::index, sizeof(T), alignof(T)));
}

}  // namespace rt

// A kernel with its arguments, converted to the kernel's parameter types.
template <class... P>
struct Call {
  void (*kernel)(P...);
  dim3 grid, block;
  std::size_t shared_bytes;
  std::tuple<std::remove_cv_t<P>...> arguments;

  // Runs the kernel to its end.
  void operator()() {
    rt::run({reinterpret_cast<const void*>(kernel), grid, block, shared_bytes,
             [](void* p) { std::apply(static_cast<Call*>(p)->kernel, static_cast<Call*>(p)->arguments); }, this});
  }
};

template <class... P, class... A>
Call<P...> call_of(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "number of kernel arguments");
  // NOLINTNEXTLINE(bugprone-sizeof-expression): a pointer is a parameter like any other
  static_assert((std::size_t{0} + ... + sizeof(P)) <= 32764, "kernel parameters exceed 32764 bytes");
  return {kernel, grid, block, shared_bytes, {static_cast<P>(std::forward<A>(arguments))...}};
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, A&&... arguments) {
  call_of(kernel, grid, block, shared_bytes, std::forward<A>(arguments)...)();
}

// The arguments are kept as they are now; without a stream the kernel runs at once.
template <class... P, class... A>
void launch_on(cudaStream_t stream, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes,
               A&&... arguments) {
  auto call = call_of(kernel, grid, block, shared_bytes, std::forward<A>(arguments)...);
  if (stream == nullptr) {
    call();
  } else {
    stream->add(std::move(call));
  }
}

// Runs `body` under the forward, the reverse and `random_seeds` random schedules. Forward and reverse each find
// mistakes that the others miss. Whether two accesses race depends on no order, except that of copies, which land late
// in the forward and early in the reverse schedule: the race detector sees the forward one, and with copies the reverse
// one.
template <class F>
void for_each_schedule(int random_seeds, F&& body) {
  struct Restore {
    Schedule saved = schedule();
    ~Restore() { schedule() = saved; }
  } restore;
  const std::uint64_t copies = rt::copies_so_far();
  for (int i = 0; i < 2 + (kRaceDetector ? 0 : random_seeds); ++i) {
    if (kRaceDetector && i > 0 && rt::copies_so_far() == copies) break;
    const Order order = i == 0 ? Order::kForward : i == 1 ? Order::kReverse : Order::kRandom;
    schedule() = {order, static_cast<std::uint64_t>(i)};
    body();
  }
}

}  // namespace simt

#include "intrinsics.h"
