// Linked into the executables whose tests need a processor that multiplies bfloat16.
#include "kernels/conv2d/onednn.h"
#include "tests/support/needs.h"

std::string gridstep::test::missing() {
  return bf16_is_native() ? "" : "the processor has neither AVX-512 BF16 nor AMX";
}
