// Linked into the executables whose tests need a GPU: without one, each test ends with exit code 77, which ctest
// reports as skipped. Listing the tests needs no GPU.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <cstdio>
#include <cstdlib>

#include "engine/device/plugin.h"
#include "tests/support/catch.h"

namespace {

constexpr int kSkipped = 77;

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class NeedsGpu final : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    const gridstep::PluginStatus& plugin = gridstep::cuda_plugin();
    if (plugin.registry != nullptr) return;
    std::fprintf(stderr, "skipped: %s\n", plugin.reason.c_str());
    std::exit(kSkipped);
  }
};

CATCH_REGISTER_LISTENER(NeedsGpu)

}  // namespace
