// gridstep-bench kernels: every family of kernels over sizes, in share of the copy rate of the same size and run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/bench/bench.h"
#include "apps/bench/kernel_cases.h"
#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep::bench {
namespace {

struct Args {
  CommonArgs common;
  std::vector<std::string> families;
  std::vector<std::string> sizes = {"1K", "16K", "256K", "4M", "64M", "1G", "4G"};
  std::string caches = "hot";
};

// "16K": bytes of the largest float32 operand.
Bytes parse_size(const std::string& text) {
  const std::string units = "KMG";
  const std::size_t unit = text.empty() ? std::string::npos : units.find(text.back());
  const std::string digits = unit == std::string::npos ? text : text.substr(0, text.size() - 1);
  if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != std::string::npos) {
    fail<ConfigError>("--sizes: '{}' is no size; wanted bytes such as 64K, 4M or 1G", text);
  }
  const Bytes size = static_cast<Bytes>(std::stoll(digits)) << (unit == std::string::npos ? 0 : 10 * (unit + 1));
  if (size < 1024) fail<ConfigError>("--sizes: {} is below 1K, the least", text);
  return size;
}

std::string size_text(Bytes size) {
  for (const auto& [shift, unit] : {std::pair{30, "GiB"}, {20, "MiB"}, {10, "KiB"}}) {
    if (size >> shift > 0) return fmt::format("{} {}", size >> shift, unit);
  }
  return fmt::format("{} B", size);
}

struct Measurement {
  double ms = 0.0, error = 0.0, bytes = 0.0;
  int launches = 0;
};

// Hot: the same memory again and again, several launches in one replay, so that what is timed is the kernel and not its
// start. Cold: more copies than the caches hold, each touched once per replay.
Measurement measure(Device& device, const KernelFamily& family, Bytes size, const Args& args) {
  constexpr Bytes kBeyondCaches = Bytes{512} << 20;
  const bool cold = args.caches == "cold";
  const int copies = cold ? static_cast<int>(std::clamp<Bytes>(kBeyondCaches / size, 1, 4096)) : 1;
  KernelCase c = family.make(device, size / 4, copies);
  const int repeats = cold ? 1 : static_cast<int>(std::clamp<Bytes>((Bytes{1} << 20) / size, 1, 16));
  std::vector<Launch> launches;
  for (int i = 0; i < repeats; ++i) launches.insert(launches.end(), c.launches.begin(), c.launches.end());
  const int replicas = c.store ? copies : 1;
  const auto replay = device.prepare(std::move(launches), replicas, c.scratch_bytes, true);
  const Timing t = time_replay(args.common.timing, device, *replay);
  const int count = static_cast<int>(c.launches.size()) / (c.store ? 1 : copies);
  return {t.ms / repeats / copies, t.error, c.bytes, count};
}

std::vector<const KernelFamily*> chosen_families(const Args& args) {
  std::vector<const KernelFamily*> chosen;
  std::vector<std::string> names;
  for (const KernelFamily& family : kernel_families()) names.push_back(family.name);
  for (const std::string& name : args.families) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      fail<ConfigError>("no family of kernels is called '{}'{}; there are: {}", name, did_you_mean(name, names),
                        join(names));
    }
  }
  for (const KernelFamily& family : kernel_families()) {
    const bool wanted = std::find(args.families.begin(), args.families.end(), family.name) != args.families.end();
    // The copy is what the others are judged by.
    if (args.families.empty() || wanted || family.name == "copy") chosen.push_back(&family);
  }
  return chosen;
}

void run(const Args& args) {
  const auto families = chosen_families(args);
  std::vector<Bytes> sizes;
  for (const std::string& text : args.sizes) sizes.push_back(parse_size(text));
  const auto device = open_device(args.common);
  Report report;
  report.title = fmt::format("kernels, {} caches", args.caches);
  report.facts = environment_facts(device->describe());
  report.table = {{{"kernel", Align::kLeft}, {"size"}, {"launches"}, {"us"}, {"+-"}, {"GB/s"}, {"of copy"}}, {}, 0};
  Json rows = Json::array();
  for (const Bytes size : sizes) {
    // Inputs, outputs and three slots at most, and room for the system.
    if (8 * size > device->available_bytes() / 2) {
      report.remarks.push_back(
          fmt::format("{} left out: its operands need more than half of the memory.", size_text(size)));
      continue;
    }
    double copy = 0.0;
    for (const KernelFamily* family : families) {
      const Measurement m = measure(*device, *family, size, args);
      const double rate = m.bytes / m.ms * 1e-6;
      if (family->name == "copy") copy = rate;
      report.table.rows.push_back({family->name, size_text(size), std::to_string(m.launches),
                                   fmt::format("{:.2f}", 1e3 * m.ms), fmt::format("{:.1f} %", 100.0 * m.error),
                                   fmt::format("{:.1f}", rate), fmt::format("{:.0f} %", 100.0 * rate / copy)});
      rows.push_back({{"kernel", family->name},
                      {"bytes_of_operand", size},
                      {"launches", m.launches},
                      {"ms", m.ms},
                      {"error", m.error},
                      {"bytes", m.bytes},
                      {"gb_per_s", rate},
                      {"of_copy", rate / copy}});
    }
  }
  report.json = {{"benchmark", "kernels"},
                 {"environment", environment_json(device->describe())},
                 {"caches", args.caches},
                 {"rows", rows}};
  report.remarks.push_back(
      "size: of the largest float32 operand; GB/s: what must be read and written once, over the time.");
  report.show(args.common.files);
}

}  // namespace

void add_kernels_command(CLI::App& app) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand("kernels", "Every family of kernels over sizes");
  std::vector<std::string> names;
  for (const KernelFamily& family : kernel_families()) names.push_back(family.name);
  command->add_option("families", args->families, "Only these: " + join(names));
  command->add_option("--sizes", args->sizes, "Sizes of the largest operand, as in 64K,4M,1G")->delimiter(',');
  command->add_option("--caches", args->caches, "hot: the same memory again and again; cold: more than the caches hold")
      ->check(CLI::IsMember({"hot", "cold"}));
  add_common_options(*command, args->common);
  command->callback([args] { run(*args); });
}

}  // namespace gridstep::bench
