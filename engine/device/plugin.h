// The boundary to device plug-ins (libgridstep_cuda.so): opened only when a device needs it, so that a CPU-only user
// needs none of its libraries. The plug-in links to libgridstep, hence one registry and one set of exception types.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/device/device.h"
#include "engine/graph/op.h"

namespace gridstep {

struct OptimizerArena;  // optim/optimizer.h

// Changes with every build of the library; plug-in and library must agree.
std::string_view build_id();
// Commit the library was built from, or "no commit".
std::string_view build_commit();

// What a plug-in fills in.
struct PluginRegistry {
  std::unique_ptr<Device> (*make_device)(int ordinal) = nullptr;
  std::map<std::string, RecordFn, std::less<>> launchers;  // by op name
  void (*record_optimizer)(Recorder& recorder, const OptimizerArena& arena) = nullptr;
  // Workspace per replica where it differs from OpDef::workspace, by op name.
  std::map<std::string, Bytes (*)(const Node& node, std::span<const ValueSpec> in), std::less<>> workspaces;
};

// The plug-in exports `extern "C" const char* gridstep_plugin(const char* build_id, PluginRegistry*)`: null on success,
// else why not.
using PluginEntry = const char* (*)(const char* build_id, PluginRegistry* registry);

struct PluginStatus {
  const PluginRegistry* registry = nullptr;  // null: not usable
  std::string reason;                        // why not, in words for the user
};

// Opens the CUDA plug-in once per process. It lies beside libgridstep or where GRIDSTEP_PLUGIN_DIR says. The libraries
// that it needs are taken from the folders of GRIDSTEP_CUDA_LIBS (colon-separated), then from where the system
// searches, then from the packages of a Python (engine/device/wheel_folders.h).
const PluginStatus& cuda_plugin();

// The launcher of an op on a device; throws DeviceError naming both when there is none.
RecordFn launcher(const OpDef& op, DeviceKind device);
// Bytes per replica that a node needs while it runs.
Bytes workspace_bytes(const Node& node, std::span<const ValueSpec> in, DeviceKind device);

}  // namespace gridstep
