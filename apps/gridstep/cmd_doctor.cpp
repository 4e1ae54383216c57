// gridstep doctor: what this machine and this build offer, and why CUDA and integer convolutions are or are not used.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/gridstep/commands.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/device/cpu_info.h"
#include "engine/device/plugin.h"
#include "kernels/conv2d/onednn.h"

#ifndef GRIDSTEP_LIBRARIES
#error "the build defines GRIDSTEP_LIBRARIES: the libraries it found, \"name version, name version\""
#endif

namespace gridstep {
namespace {

// ordered: printed in the order of the keys below.
using Json = nlohmann::ordered_json;

double gib(Bytes bytes) { return static_cast<double>(bytes) / 1073741824.0; }

std::string why_int8() {
  const bool used = int8_convolution_is_exact();
  if (std::getenv("GRIDSTEP_INT8_CONV") != nullptr) {
    return used ? "GRIDSTEP_INT8_CONV=1 says that sums do not saturate" : "GRIDSTEP_INT8_CONV forbids them";
  }
  return used ? "the processor has VNNI, whose sums are exact"
              : "without VNNI their sums can saturate: codes are convolved as float32, which is exact below 2^24";
}

std::string why_bf16() {
  return bf16_is_native() ? "AVX-512 BF16 or AMX: train.backward = bfloat16 can be had"
                          : "neither AVX-512 BF16 nor AMX that " + convolution_library() +
                                " can use: train.backward = bfloat16 is refused on the CPU";
}

Json cpu_facts() {
  return {{"model", cpu_model()},
          {"threads", cpu_usable_threads()},
          {"instruction_set", cpu_instruction_set()},
          {"available_bytes", cpu_available_bytes()},
          {"int8_convolutions", {{"used", int8_convolution_is_exact()}, {"why", why_int8()}}},
          {"bf16_gradients", {{"available", bf16_is_native()}, {"why", why_bf16()}}}};
}

Json cuda_facts() {
  Json facts{{"usable", false}, {"why", nullptr}, {"device", nullptr}, {"available_bytes", nullptr}};
  const PluginStatus& plugin = cuda_plugin();
  if (plugin.registry == nullptr) {
    facts["why"] = plugin.reason;
    return facts;
  }
  try {
    const std::unique_ptr<Device> device = plugin.registry->make_device(0);
    facts["device"] = device->describe();
    facts["available_bytes"] = device->available_bytes();
    facts["usable"] = true;
    facts["why"] = "the CUDA part is loaded and a GPU answers";
  } catch (const DeviceError& error) {
    facts["why"] = error.what();
  }
  return facts;
}

// "name version" each: of the headers and packages the build found, and oneDNN's own word at run time.
std::vector<std::string> libraries() {
  std::vector<std::string> names{convolution_library()};
  const std::string_view list = GRIDSTEP_LIBRARIES;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(", ", begin), list.size());
    names.emplace_back(list.substr(begin, end - begin));
    begin = end + 2;
  }
  return names;
}

// The files from which the libraries that matter to results and speed are loaded into this process.
std::set<std::string> loaded_files() {
  std::set<std::string> files;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    const std::string name = fs::path(path).filename().string();
    for (const std::string_view prefix : {"libgridstep", "libdnnl", "libgomp", "libpng", "libturbojpeg", "libcudart",
                                          "libcublas", "libcudnn", "libcuda.so"}) {
      if (name.starts_with(prefix)) files.insert(path);
    }
  }
  return files;
}

Json diagnose() {
  Json report;
  report["build"] = build_id();
  report["cpu"] = cpu_facts();
  report["cuda"] = cuda_facts();
  report["auto_device"] = report["cuda"]["usable"].get<bool>() ? "cuda" : "cpu";
  report["libraries"] = libraries();
  report["loaded"] = loaded_files();
  return report;
}

void print(const Json& report) {
  const Json& cpu = report["cpu"];
  const Json& cuda = report["cuda"];
  const Json& int8 = cpu["int8_convolutions"];
  const auto line = [](std::string_view name, const std::string& value) { fmt::print("{:<12} {}\n", name, value); };
  const auto text = [](const Json& value) { return value.get<std::string>(); };
  line("build", text(report["build"]));
  line("cpu",
       fmt::format("{}, {} threads, {}, {:.1f} GiB of memory available", text(cpu["model"]), cpu["threads"].get<int>(),
                   text(cpu["instruction_set"]), gib(cpu["available_bytes"].get<Bytes>())));
  line("int8 conv", fmt::format("{}: {}", int8["used"].get<bool>() ? "used" : "not used", text(int8["why"])));
  line("bf16", text(cpu["bf16_gradients"]["why"]));
  if (cuda["usable"].get<bool>()) {
    line("cuda", fmt::format("{}, {:.1f} GiB of memory available", text(cuda["device"]),
                             gib(cuda["available_bytes"].get<Bytes>())));
  } else {
    line("cuda", "not used: " + text(cuda["why"]));
  }
  line("device auto", text(report["auto_device"]));
  std::string name = "libraries";
  for (const Json& library : report["libraries"]) line(std::exchange(name, ""), text(library));
  name = "loaded";
  for (const Json& file : report["loaded"]) line(std::exchange(name, ""), text(file));
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto as_json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("doctor", "Say what this machine and this build offer, and why CUDA is or is not used");
  command->add_flag("--json", *as_json, "print JSON");
  command->callback([as_json] {
    const Json report = diagnose();
    if (*as_json) {
      fmt::print("{}\n", report.dump(2));
    } else {
      print(report);
    }
  });
}

}  // namespace gridstep
