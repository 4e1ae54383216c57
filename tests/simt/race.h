// What the thread sanitizer is told of CUDA's order of events; nothing in the other variants. Every CUDA thread is a
// fiber of its own to it. The harness's own sources are compiled without instrumentation, so that only kernels are
// seen.
//   launch before its blocks before what follows the launch;  __syncthreads and __syncwarp: all before with all after;
//   __threadfence with relaxed atomics: the fence rules of C++, which the sanitizer does not know. Shuffles order
//   nothing.
#pragma once

#if defined(SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace simt::rt::race {

#if defined(SIMT_TSAN)

inline constexpr bool kOn = true;
inline void release(void* address) { __tsan_release(address); }
inline void acquire(void* address) { __tsan_acquire(address); }

// While one stands, what this thread does is not seen: the sanitizer watches the library's functions, malloc among
// them, wherever they are called from.
class Unwatched {
 public:
  Unwatched() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unwatched() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

#else

inline constexpr bool kOn = false;
inline void release(void*) {}
inline void acquire(void*) {}

// Of its own making, so that an object of it is no unused variable.
class Unwatched {
 public:
  Unwatched() {}   // NOLINT(modernize-use-equals-default)
  ~Unwatched() {}  // NOLINT(modernize-use-equals-default)
};

#endif

}  // namespace simt::rt::race
