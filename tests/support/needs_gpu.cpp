// Linked into the executables whose tests need a GPU.
#include "engine/device/plugin.h"
#include "tests/support/needs.h"

std::string gridstep::test::missing() {
  const PluginStatus& plugin = cuda_plugin();
  return plugin.registry != nullptr ? "" : plugin.reason;
}
