// The cases of tests/simt/ptx_cases.h on the GPU. Each returns what is wrong, or nothing.
#pragma once

#include <string>

namespace gridstep::test {

std::string mma_bf16_on_device();
std::string mma_bytes_on_device();
std::string ldmatrix_on_device();
std::string copies_on_device();

}  // namespace gridstep::test
