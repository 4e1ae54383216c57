// For executables whose tests need what not every machine has: where it is missing each test ends with exit code 77,
// which ctest reports as skipped, and says why. Listing the tests needs nothing.
// Included once per executable, by a file that defines missing().
#pragma once

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/catch.h"

namespace gridstep::test {

std::string missing();  // empty: nothing

inline constexpr int kSkipped = 77;

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class Needs final : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    const std::string reason = missing();
    if (reason.empty()) return;
    std::fprintf(stderr, "skipped: %s\n", reason.c_str());
    std::exit(kSkipped);
  }
};

CATCH_REGISTER_LISTENER(Needs)

}  // namespace
}  // namespace gridstep::test
