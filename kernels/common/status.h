// What kernels report about a replica (engine/graph/step_params.h), from host tasks and device threads alike.
#pragma once

#include <cstdint>

#if !defined(__CUDA_ARCH__)
#include <atomic>
#endif

#include "engine/base/hd.h"
#include "engine/graph/step_params.h"

namespace gridstep {

// Keeps the earliest fault of the replica, step << 32 | node + 1 (a negative node, the optimizer's, is last of its
// step): an atomic minimum for which 0 means none. Any order of callers gives the same result.
GS_HD void note_fault(ReplicaStatus& status, std::uint32_t step, int node_index) {
  const std::uint32_t node = node_index < 0 ? 0xffffffffu : static_cast<std::uint32_t>(node_index) + 1;
  const std::uint64_t code = static_cast<std::uint64_t>(step) << 32 | node;
#if defined(__CUDA_ARCH__)
  auto* word = reinterpret_cast<unsigned long long*>(&status.first_fault);
  unsigned long long seen = *word;
  while (seen == 0 || code < seen) {
    const unsigned long long before = atomicCAS(word, seen, code);
    if (before == seen) return;
    seen = before;
  }
#else
  std::atomic_ref<std::uint64_t> word(status.first_fault);
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  while ((seen == 0 || code < seen) && !word.compare_exchange_weak(seen, code, std::memory_order_relaxed)) {
  }
#endif
}

}  // namespace gridstep
