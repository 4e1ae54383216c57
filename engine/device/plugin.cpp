#include "engine/device/plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/device/wheel_folders.h"

namespace gridstep {
namespace {

constexpr const char* kPluginFile = "libgridstep_cuda.so";
constexpr const char* kPluginEntry = "gridstep_plugin";

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

// The libraries that the plug-in links to, those that others need first.
std::vector<fs::path> cuda_libraries_in(const fs::path& folder) {
  constexpr std::array<std::string_view, 5> kPrefixes{"libcudart.so", "libnvrtc", "libcublasLt.so", "libcublas.so",
                                                      "libcudnn"};
  std::vector<fs::path> found;
  for (const std::string_view prefix : kPrefixes) {
    std::vector<fs::path> matches;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix) && name.find(".so") != std::string::npos) matches.push_back(entry.path());
    }
    if (error) {
      log_warn("CUDA libraries are looked for in {}, which cannot be read: {}", folder.string(), error.message());
      return {};
    }
    std::sort(matches.begin(), matches.end());
    found.insert(found.end(), matches.begin(), matches.end());
  }
  return found;
}

// Opens them for the whole process, so that the plug-in's own needs are met by name. Some depend on others whose order
// is not known: passes go on while one more of them opens. What does not open is left to the plug-in's own loading,
// whose message names it.
void preload_cuda_libraries(const std::vector<fs::path>& folders) {
  std::vector<fs::path> waiting;
  for (const fs::path& folder : folders) {
    const std::vector<fs::path> found = cuda_libraries_in(folder);
    waiting.insert(waiting.end(), found.begin(), found.end());
  }
  for (std::size_t before = waiting.size() + 1; waiting.size() < before;) {
    before = waiting.size();
    std::erase_if(waiting,
                  [](const fs::path& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr; });
  }
}

std::vector<fs::path> named_library_folders() {
  const char* value = std::getenv("GRIDSTEP_CUDA_LIBS");
  std::vector<fs::path> folders;
  std::istringstream list(value == nullptr ? "" : value);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (!folder.empty()) folders.emplace_back(folder);
  }
  return folders;
}

// Folders that the user names come first, then those that the system searches, then the packages of Python.
void* open_plugin_library(const fs::path& path) {
  preload_cuda_libraries(named_library_folders());
  if (void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
  preload_cuda_libraries(wheel_library_folders(PythonPlaces::from_environment()));
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

fs::path plugin_folder() {
  if (const char* folder = std::getenv("GRIDSTEP_PLUGIN_DIR"); folder != nullptr && *folder != '\0') return folder;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&cuda_plugin), &info) == 0 || info.dli_fname == nullptr) return ".";
  std::error_code error;
  const fs::path library = fs::canonical(info.dli_fname, error);
  return (error ? fs::path(info.dli_fname) : library).parent_path();
}

PluginStatus open_plugin() {
  static PluginRegistry registry;
  const fs::path path = plugin_folder() / kPluginFile;
  std::error_code error;
  if (!fs::exists(path, error)) {
    return {
        nullptr,
        fmt::format(
            "this build has no CUDA part: {} does not exist (./quickstart.sh --cuda builds it; or name its folder in "
            "GRIDSTEP_PLUGIN_DIR)",
            path.string())};
  }
  void* const library = open_plugin_library(path);
  if (library == nullptr) {
    return {nullptr,
            fmt::format("the CUDA part does not load: {} (neither the system nor a Python has the library; if it lies "
                        "elsewhere, list its folder in GRIDSTEP_CUDA_LIBS)",
                        last_dl_error())};
  }
  const auto entry = reinterpret_cast<PluginEntry>(dlsym(library, kPluginEntry));
  if (entry == nullptr) {
    dlclose(library);
    return {nullptr,
            fmt::format("{} is not a plug-in of gridstep: it has no function '{}'", path.string(), kPluginEntry)};
  }
  const std::string id(build_id());
  if (const char* reason = entry(id.c_str(), &registry); reason != nullptr) {
    return {nullptr, reason};  // stays open: the reason lies in it
  }
  return {&registry, {}};
}

}  // namespace

const PluginStatus& cuda_plugin() {
  static const PluginStatus status = open_plugin();
  return status;
}

RecordFn launcher(const OpDef& op, DeviceKind device) {
  if (device == DeviceKind::kCpu) {
    if (op.record_cpu == nullptr) fail<DeviceError>("the operation '{}' cannot run on the cpu", op.name);
    return op.record_cpu;
  }
  const PluginStatus& plugin = cuda_plugin();
  if (plugin.registry == nullptr)
    fail<DeviceError>("the operation '{}' cannot run on cuda: {}", op.name, plugin.reason);
  const auto found = plugin.registry->launchers.find(op.name);
  if (found == plugin.registry->launchers.end()) fail<DeviceError>("the operation '{}' cannot run on cuda", op.name);
  return found->second;
}

Bytes workspace_bytes(const Node& node, std::span<const ValueSpec> in, DeviceKind device) {
  if (device == DeviceKind::kCuda && cuda_plugin().registry != nullptr) {
    const auto& workspaces = cuda_plugin().registry->workspaces;
    if (const auto found = workspaces.find(node.op->name); found != workspaces.end()) return found->second(node, in);
  }
  return node.op->workspace == nullptr ? 0 : node.op->workspace(node, in, device);
}

}  // namespace gridstep
