// What the harness's own tests share.
#pragma once

#include <string>

#include "simt.h"

namespace gridstep {

// What the harness says of one block of the kernel; empty if it finds nothing wrong.
template <class... P, class... A>
std::string failure_of(void (*kernel)(P...), unsigned threads, std::size_t shared_bytes, A... arguments) {
  try {
    simt::launch(kernel, dim3(1), dim3(threads), shared_bytes, arguments...);
  } catch (const simt::Failure& failure) {
    return failure.what();
  }
  return "";
}

}  // namespace gridstep
