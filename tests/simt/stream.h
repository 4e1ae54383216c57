// What a cudaStream_t points to in the harness: work that waits for the host to wait for it (runtime/cuda_runtime.cpp).
// Kernels that are recorded without a stream, as those of the tests here, run at once.
#pragma once

#include <driver_types.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace simt {

using Work = std::function<void()>;

enum class Capture : std::uint8_t { kNone, kActive, kInvalid };  // invalid: something that cannot be captured was tried

}  // namespace simt

struct CUstream_st {
  std::vector<simt::Work> waiting;
  std::vector<simt::Work> captured;
  simt::Capture capture = simt::Capture::kNone;

  void add(simt::Work work) { (capture == simt::Capture::kNone ? waiting : captured).push_back(std::move(work)); }
};
