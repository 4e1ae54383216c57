// What the harness takes matrix instructions and asynchronous copies to do, on the GPU.
#include "tests/cuda/ptx/ptx_device.h"
#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("mma of bf16 by the fragment layouts, on the GPU") { CHECK(test::mma_bf16_on_device() == ""); }

TEST_CASE("mma of bytes by the fragment layouts, on the GPU") { CHECK(test::mma_bytes_on_device() == ""); }

TEST_CASE("ldmatrix spreads rows over lanes, on the GPU") { CHECK(test::ldmatrix_on_device() == ""); }

TEST_CASE("asynchronous copies land by group, and fill with zero, on the GPU") {
  CHECK(test::copies_on_device() == "");
}
