#include "engine/device/plugin.h"

#include "engine/base/error.h"
#include "kernels/relu/relu.h"
#include "tests/support/catch.h"

using namespace gridstep;

TEST_CASE("a plug-in is usable or says why not", "[device]") {
  const PluginStatus& status = cuda_plugin();
  CHECK((status.registry == nullptr) == !status.reason.empty());
  CHECK(&cuda_plugin() == &status);
  if (status.registry != nullptr) CHECK(status.registry->make_device != nullptr);
}

TEST_CASE("launchers are found by op and device", "[device]") {
  CHECK(launcher(relu_op(), DeviceKind::kCpu) == relu_op().record_cpu);
  const OpDef nowhere{.name = "nowhere", .infer = relu_op().infer};
  CHECK_THROWS_WITH(launcher(nowhere, DeviceKind::kCpu),
                    Catch::Matchers::Contains("nowhere") && Catch::Matchers::Contains("cpu"));
  CHECK_THROWS_AS(launcher(nowhere, DeviceKind::kCuda), DeviceError);
  CHECK_THROWS_WITH(launcher(nowhere, DeviceKind::kCuda),
                    Catch::Matchers::Contains("nowhere") && Catch::Matchers::Contains("cuda"));
}
