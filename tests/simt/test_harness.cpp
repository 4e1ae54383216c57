// The harness itself: what it must find in wrong kernels, and what it must let pass.
#include <numeric>
#include <string>
#include <vector>

#include "engine/device/cuda/cuda_compat.h"
#include "tests/simt/harness_checks.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

__global__ void reverse_kernel(const int* in, int* out, bool with_barrier) {
  SHARED(values, int[64]);
  values[threadIdx.x] = in[threadIdx.x];
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

__global__ void warp_sum_kernel(const int* in, int* out) {
  int v = in[threadIdx.x];
  for (int half = 16; half > 0; half /= 2) v += __shfl_down_sync(kAllLanes, v, static_cast<unsigned>(half));
  if (threadIdx.x % 32 == 0) atomicAdd(out, v);
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < 10) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void early_exit_kernel() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}

__global__ void absent_lane_kernel(int* out) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_xor_sync(kAllLanes, 1, 16);
}

__global__ void deadlock_kernel() {
  if (threadIdx.x == 0) {
    __syncwarp(0x3u);
  } else {
    __syncthreads();
  }
}

__global__ void votes_kernel(int* out) {
  const int odd = static_cast<int>(threadIdx.x % 2);
  const int count = __syncthreads_count(odd), all = __syncthreads_and(1), any = __syncthreads_or(0);
  const unsigned ballot = __ballot_sync(kAllLanes, odd);
  if (threadIdx.x != 0) return;
  out[0] = count;
  out[1] = all;
  out[2] = any;
  out[3] = ballot == 0xaaaaaaaau ? 1 : 0;
}

__global__ void dynamic_kernel(int* out, int n) {
  DYN_SHARED(int, values);
  const int thread = static_cast<int>(threadIdx.x);
  if (values[thread] == -1) values[thread] = thread;  // poisoned before
  __syncthreads();
  if (thread == 0) out[blockIdx.x] = std::accumulate(values, values + n, 0);
}

std::vector<int> numbers(int n) {
  std::vector<int> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

}  // namespace

TEST_CASE("a barrier orders shared memory, and its absence shows under every schedule") {
  const std::vector<int> in = numbers(64), want(in.rbegin(), in.rend());
  simt::for_each_schedule(2, [&] {
    for (const bool with_barrier : {true, false}) {
      if (simt::kRaceDetector && !with_barrier) continue;  // it ends the program
      std::vector<int> out(64);
      simt::launch(reverse_kernel, dim3(1), dim3(64), 0, in.data(), out.data(), with_barrier);
      CHECK((out == want) == with_barrier);
    }
  });
}

TEST_CASE("shuffles and atomics add up") {
  const std::vector<int> in = numbers(128);
  simt::for_each_schedule(2, [&] {
    int sum = 0;
    simt::launch(warp_sum_kernel, dim3(3), dim3(128), 0, in.data(), &sum);
    CHECK(sum == 3 * 127 * 64);
  });
}

TEST_CASE("votes") {
  simt::for_each_schedule(1, [] {
    std::vector<int> out(4, -1);
    simt::launch(votes_kernel, dim3(1), dim3(64), 0, out.data());
    CHECK(out == std::vector<int>{32, 1, 0, 1});
  });
}

TEST_CASE("dynamic shared memory is poisoned before every block") {
  std::vector<int> sums(4);
  simt::launch(dynamic_kernel, dim3(4), dim3(32), 32 * sizeof(int), sums.data(), 32);
  CHECK(sums == std::vector<int>(4, 31 * 16));
}

TEST_CASE("broken rendezvous are named") {
  using Catch::Matchers::Contains;
  std::vector<int> out(32);
  CHECK_THAT(failure_of(divergent_barrier_kernel, 32, 0),
             Contains("divergent barrier") && Contains("test_harness.cpp"));
  CHECK_THAT(failure_of(early_exit_kernel, 32, 0), Contains("1 of 32 threads of the block have exited"));
  CHECK_THAT(failure_of(absent_lane_kernel, 32, 0, out.data()), Contains("16 lanes of the mask have exited"));
  CHECK_THAT(failure_of(deadlock_kernel, 32, 0), Contains("deadlock"));
  CHECK_THAT(failure_of(early_exit_kernel, 2048, 0), Contains("block shape"));
  CHECK(failure_of(early_exit_kernel, 4, 0).empty());  // and a sound launch works after the failures
}
