#include "tests/cuda/ptx/ptx_device.h"

#include "tests/simt/ptx_cases.h"

namespace gridstep::test {

std::string mma_bf16_on_device() { return ptx_cases::check_mma_bf16(); }
std::string mma_bytes_on_device() { return ptx_cases::check_mma_bytes(); }
std::string ldmatrix_on_device() { return ptx_cases::check_ldmatrix(); }
std::string copies_on_device() { return ptx_cases::check_copies(); }

}  // namespace gridstep::test
