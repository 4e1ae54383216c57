// What a device is refused for, before anything is trained.
#include "apps/gridstep/task_runner.h"
#include "engine/base/error.h"
#include "kernels/conv2d/onednn.h"
#include "tests/support/bind.h"
#include "tests/support/catch.h"

using namespace gridstep;
using gridstep::test::HostDevice;

TEST_CASE("bfloat16 gradients: refused on processors that would emulate them") {
  const HostDevice cuda(DeviceKind::kCuda), cpu(DeviceKind::kCpu);
  Config config;
  CHECK_NOTHROW(check_device(cuda, config));
  CHECK_NOTHROW(check_device(cpu, config));
  config.set("train.backward", std::string("bfloat16"), "test");
  CHECK_NOTHROW(check_device(cuda, config));
  if (bf16_is_native()) {
    CHECK_NOTHROW(check_device(cpu, config));
  } else {
    CHECK_THROWS_AS(check_device(cpu, config), DeviceError);
    CHECK_THROWS_WITH(check_device(cpu, config), Catch::Matchers::Contains("AVX-512 BF16"));
  }
}
