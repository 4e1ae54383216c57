// What the thread sanitizer is told of CUDA's order of events; nothing in the other variants. Every CUDA thread is a
// fiber of its own to it. The harness's own sources are compiled without instrumentation, so that only kernels are
// seen.
//   launch before its blocks before what follows the launch;  __syncthreads and __syncwarp: all before with all after;
//   __threadfence with relaxed atomics: the fence rules of C++, which the sanitizer does not know. Shuffles order
//   nothing.
#pragma once

#if defined(SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace simt::rt::race {

#if defined(SIMT_TSAN)

inline constexpr bool kOn = true;
inline void release(void* address) { __tsan_release(address); }
inline void acquire(void* address) { __tsan_acquire(address); }

#else

inline constexpr bool kOn = false;
inline void release(void*) {}
inline void acquire(void*) {}

#endif

}  // namespace simt::rt::race
