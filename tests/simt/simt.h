// SIMT harness: runs CUDA kernels, compiled as plain C++, on the host.
//
// A CUDA thread that has to wait becomes a fiber; one that never waits is a plain function call. Barriers, shuffles and
// votes are rendezvous points that check their own rules: divergent or missing threads, absent lanes, deadlock. A
// violation ends the launch with simt::Failure, which names file, line, block and thread. Blocks run one after another;
// shared memory is filled with 0xff (NaN) before each. For tests only.
//
// Not here: clusters, cooperative groups, textures, streams as concurrency, waiting on another block, `asm`, timing.
// The order of threads is a schedule's; races that no order shows need a thread sanitizer.
#pragma once

#if defined(__CUDACC__)
#error "simt.h is for the host copy of kernels; nvcc must not see it"
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
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

inline constinit thread_local uint3 threadIdx{};
inline constinit thread_local uint3 blockIdx{};
inline constinit thread_local dim3 blockDim{};
inline constinit thread_local dim3 gridDim{};
inline constexpr int warpSize = 32;

namespace simt {

// In which order runnable threads, and the blocks of a launch, are picked. A thread runs until it must wait.
enum class Order : std::uint8_t { kForward, kReverse, kRandom };

struct Schedule {
  Order order = Order::kForward;
  std::uint64_t seed = 1;  // for kRandom
};
Schedule& schedule();  // of the launches to come

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace rt {

// Where a rendezvous stands in the source.
struct Site {
  const char* file;
  int line;
};

struct KernelLaunch {
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
};

int barrier(Vote vote, int predicate, Site site);
std::uint64_t warp(WarpOp op, std::uint32_t mask, std::uint64_t value, int argument, int width, Site site);
void count_atomic();
void* dynamic_shared();
int new_shared_slot();
void* shared_slot(int slot, std::size_t bytes, std::size_t alignment);

// Behind SHARED: the lambda's type tells the variables apart. Every block gets memory of exactly this size.
template <class T, class Tag>
T& shared(Tag) {
  static const int slot = new_shared_slot();
  return *static_cast<T*>(shared_slot(slot, sizeof(T), alignof(T)));
}

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int argument, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "shuffles take types of up to 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp(op, mask, bits, argument, width, site);
  std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  return value;
}

template <class T, class F>
T update_atomically(T* p, F next) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  count_atomic();
  auto* const word = reinterpret_cast<Bits*>(p);
  Bits seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T old;
    std::memcpy(&old, &seen, sizeof old);
    const T value = next(old);
    Bits wanted;
    std::memcpy(&wanted, &value, sizeof wanted);
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return old;
  }
}

}  // namespace rt

// Runs the kernel to its end. Arguments are converted to the kernel's parameter types.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "number of kernel arguments");
  static_assert((std::size_t{0} + ... + sizeof(P)) <= 32764, "kernel parameters exceed 32764 bytes");
  struct Call {
    void (*kernel)(P...);
    std::tuple<std::remove_cv_t<P>...> arguments;
  } call{kernel, {static_cast<P>(std::forward<A>(arguments))...}};
  rt::run({grid, block, shared_bytes,
           [](void* p) { std::apply(static_cast<Call*>(p)->kernel, static_cast<Call*>(p)->arguments); }, &call});
}

// Runs `body` under the forward, the reverse and `random_seeds` random schedules. Forward and reverse each find
// mistakes that the others miss.
template <class F>
void for_each_schedule(int random_seeds, F&& body) {
  struct Restore {
    Schedule saved = schedule();
    ~Restore() { schedule() = saved; }
  } restore;
  for (int i = 0; i < 2 + random_seeds; ++i) {
    const Order order = i == 0 ? Order::kForward : i == 1 ? Order::kReverse : Order::kRandom;
    schedule() = {order, static_cast<std::uint64_t>(i)};
    body();
  }
}

}  // namespace simt

// ---- what kernels call
// -----------------------------------------------------------------------------------------------

#define SIMT_SITE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()
#define SIMT_HERE \
  ::simt::rt::Site { file_, line_ }

inline void __syncthreads(SIMT_SITE) { simt::rt::barrier(simt::rt::Vote::kNone, 0, SIMT_HERE); }
inline int __syncthreads_count(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kCount, p, SIMT_HERE); }
inline int __syncthreads_and(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kAll, p, SIMT_HERE); }
inline int __syncthreads_or(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kAny, p, SIMT_HERE); }

inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  simt::rt::warp(simt::rt::WarpOp::kSync, mask, 0, 0, 32, SIMT_HERE);
}
template <class T>
T __shfl_sync(unsigned mask, T v, int lane, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffle, mask, v, lane, width, SIMT_HERE);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleUp, mask, v, static_cast<int>(delta), width, SIMT_HERE);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleDown, mask, v, static_cast<int>(delta), width, SIMT_HERE);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleXor, mask, v, lanes, width, SIMT_HERE);
}
inline unsigned __ballot_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<unsigned>(simt::rt::warp(simt::rt::WarpOp::kBallot, mask, p != 0, 0, 32, SIMT_HERE));
}
inline int __any_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<int>(simt::rt::warp(simt::rt::WarpOp::kAny, mask, p != 0, 0, 32, SIMT_HERE));
}
inline int __all_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<int>(simt::rt::warp(simt::rt::WarpOp::kAll, mask, p != 0, 0, 32, SIMT_HERE));
}

// Blocks run one after another and threads switch at rendezvous only: nothing to order.
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return static_cast<T>(old + v); });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return v < old ? v : old; });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return old < v ? v : old; });
}
inline unsigned atomicInc(unsigned* p, unsigned v) {
  return simt::rt::update_atomically(p, [v](unsigned old) { return old >= v ? 0u : old + 1u; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [expected, v](T old) { return old == expected ? v : old; });
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
