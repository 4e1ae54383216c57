// Matrix instructions and asynchronous copies in the harness: the cases of ptx_cases.h, and what only a harness can
// show.
#include <vector>

#include "tests/simt/harness_checks.h"
#include "tests/simt/ptx_cases.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

// Looks at its copy without a wait.
__global__ void hasty_kernel(const int* in, int* out) {
  DYN_SHARED(int, stage);
  ptx::cp_async4(stage + threadIdx.x, in + threadIdx.x);
  ptx::cp_async_commit();
  out[threadIdx.x] = stage[threadIdx.x];
}

__global__ void misaligned_copy_kernel(const char* in) {
  DYN_SHARED(char, stage);
  ptx::cp_async8(stage, in + 4);
}

__global__ void misaligned_row_kernel(int* out) {
  DYN_SHARED(char, stage);
  unsigned r[4];
  ptx::ldmatrix_x4(r, stage + 8 * threadIdx.x);
  *out = static_cast<int>(r[0]);
}

__global__ void partial_mma_kernel(int* out) {
  int d[4] = {};
  const unsigned a[4] = {}, b[2] = {};
  if (threadIdx.x < 31) ptx::mma_m16n8k32_s8(d, a, b);
  *out = d[0];
}

}  // namespace

TEST_CASE("mma of bf16 by the fragment layouts") { CHECK(ptx_cases::check_mma_bf16() == ""); }

TEST_CASE("mma of bytes by the fragment layouts") { CHECK(ptx_cases::check_mma_bytes() == ""); }

TEST_CASE("ldmatrix spreads rows over lanes") { CHECK(ptx_cases::check_ldmatrix() == ""); }

TEST_CASE("asynchronous copies land by group, and fill with zero") {
  simt::for_each_schedule(2, [] { CHECK(ptx_cases::check_copies() == ""); });
}

TEST_CASE("a check of the fragment layouts can fail") {
  CHECK(ptx_cases::difference("sums", std::vector<int>{1, 2}, std::vector<int>{1, 3}) ==
        "sums: element 1 is 2, wanted 3");
  CHECK(ptx_cases::difference("sums", std::vector<int>{1}, std::vector<int>{1, 3}) == "sums: sizes differ");
}

TEST_CASE("a copy looked at without a wait differs between schedules") {
  const std::vector<int> in(32, 7);
  std::vector<std::vector<int>> seen;
  simt::for_each_schedule(0, [&] {
    std::vector<int> out(32);
    simt::launch(hasty_kernel, dim3(1), dim3(32), 128, in.data(), out.data());
    seen.push_back(out);
  });
  CHECK(seen[0] == std::vector<int>(32, -1));  // not there yet
  CHECK(seen[1] == in);                        // already there
}

TEST_CASE("misuse of matrix instructions and copies is named") {
  using Catch::Matchers::Contains;
  alignas(16) const char in[32] = {};
  int out = 0;
  CHECK_THAT(failure_of(misaligned_copy_kernel, 32, 64, in),
             Contains("cp.async: misaligned source") && Contains("test_ptx.cpp") && Contains("misaligned_copy_kernel"));
  CHECK_THAT(failure_of(misaligned_row_kernel, 32, 512, &out), Contains("ldmatrix.x4: misaligned address"));
  CHECK_THAT(failure_of(partial_mma_kernel, 32, 0, &out), Contains("1 lanes of the mask have exited"));
  CHECK_THAT(failure_of(partial_mma_kernel, 31, 0, &out), Contains("lanes that the block does not have"));
}
