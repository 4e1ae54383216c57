// gridstep-bench compare: a training step here and in PyTorch, in turn, on one device.
#include <fmt/format.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/bench/bench.h"
#include "engine/base/error.h"
#include "engine/base/file.h"

namespace gridstep::bench {
namespace {

// In a bundle they lie in share/; else where the program was built.
std::string peers_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path bundled = program.parent_path().parent_path() / "share" / "gridstep" / "peers";
  return !error && fs::exists(bundled, error) ? bundled.string() : GS_PEERS_DIR;
}

struct Args {
  CommonArgs common;
  StepArgs step;
  std::string python = "python3", peers = peers_folder();
  std::vector<std::string> only;
  int rounds = 3;
};

struct Peer {
  std::string name;
  std::string options;
  bool cuda_only = false;
};

const std::vector<Peer>& all_peers() {
  static const std::vector<Peer> peers{
      {"eager", "--mode eager"},
      {"eager, channels last", "--mode eager --channels-last"},
      {"eager, fused Adam", "--mode eager --optimizer adam_fused"},
      {"learnable operator", "--mode operator"},
      {"torch.compile", "--mode compile"},
      {"torch.compile, channels last", "--mode compile --channels-last"},
      {"torch.compile max-autotune", "--mode compile --compile-mode max-autotune"},
      {"torch.compile reduce-overhead", "--mode compile --compile-mode reduce-overhead", true},
      {"eager, CUDA graph", "--mode eager --cuda-graph --optimizer adam_fused", true},
      {"float, no quantizers", "--mode float"},
  };
  return peers;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The last line of what the command prints; its errors go to the terminal.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail("cannot run {}", command);
  std::string text;
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) text = buffer;
  const int status = ::pclose(pipe);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail("the peer did not run: {}\n  --peer-python must name a Python with PyTorch; its message stands above",
         command);
  }
  return text;
}

fs::path script_of(const Args& args) {
  return fs::path(args.peers) / (is_classifier(args.step) ? "resnet_lsq.py" : "espcn_lsq.py");
}

Json run_peer(const Args& args, const Peer& peer, DeviceKind device) {
  const std::string shape = is_classifier(args.step)
                                ? fmt::format("--model {} --size {}", args.step.model, args.step.size)
                                : fmt::format("--scale {} --patch {}", args.step.scale, args.step.patch);
  const std::string command =
      fmt::format("{} {} {} --device {} {} --batch {} --threads {} --seconds {} --error {}", quoted(args.python),
                  quoted(script_of(args).string()), peer.options, name_of(device), shape, args.step.batch,
                  args.common.threads, args.common.timing.seconds, args.common.timing.wanted);
  const std::string text = output_of(command);
  Json result = Json::parse(text, nullptr, false);
  if (!result.is_object() || !result.contains("ms")) fail("the peer printed no figures: {}\n  {}", command, text);
  return result;
}

struct Row {
  std::string name;
  std::vector<double> ms;
  double error = 0.0;
  double memory = 0.0;  // bytes up to the third step, the most of all rounds; 0: not known
};

void check(const Args& args) {
  const fs::path script = script_of(args);
  if (!fs::exists(script)) fail<ConfigError>("there is no {}: --peers names the folder of the peers", script.string());
}

void run(const Args& args) {
  check(args);
  const auto device = open_device(args.common);
  std::vector<const Peer*> peers;
  for (const Peer& peer : all_peers()) {
    const bool wanted =
        args.only.empty() || std::find(args.only.begin(), args.only.end(), peer.name) != args.only.end();
    if (wanted && (!peer.cuda_only || device->kind() == DeviceKind::kCuda)) peers.push_back(&peer);
  }
  if (peers.empty()) fail<ConfigError>("--only names no peer that runs on {}", name_of(device->kind()));
  StepArgs float_step = args.step;
  float_step.bits = "32,32";
  std::vector<Row> rows{{"gridstep", {}}, {"gridstep, float", {}}};
  for (const Peer* peer : peers) rows.push_back({"PyTorch " + peer->name, {}});
  std::string torch;
  for (int round = 0; round < args.rounds; ++round) {
    // Made anew each round, so that none keeps memory or threads while a peer is timed.
    const auto own = [&](Row& row, const StepArgs& step) {
      const auto fresh = open_device(args.common);
      StepBench bench(*fresh, step);
      const Timing t = bench.time(args.common.timing);
      row.memory = std::max(row.memory, static_cast<double>(bench.measured_bytes()));
      row.ms.push_back(t.ms);
      row.error = std::max(row.error, t.error);
    };
    own(rows[0], args.step);
    own(rows[1], float_step);
    for (std::size_t i = 0; i < peers.size(); ++i) {
      const Json result = run_peer(args, *peers[i], device->kind());
      rows[i + 2].ms.push_back(result.at("ms").get<double>());
      rows[i + 2].error = std::max(rows[i + 2].error, result.at("error").get<double>());
      if (result.value("memory", Json()).is_number())
        rows[i + 2].memory = std::max(rows[i + 2].memory, result.at("memory").get<double>());
      torch = result.at("torch").get<std::string>();
    }
  }
  Report report;
  report.title = "compare: " + text_of(args.step);
  report.facts = environment_facts(device->describe());
  report.facts.push_back(fmt::format("PyTorch {}; {} rounds in turn, medians", torch, args.rounds));
  report.table = {
      {{"", Align::kLeft}, {"step, ms"}, {"from"}, {"to"}, {"+- within"}, {"against gridstep"}, {"MiB"}}, {}, 0};
  Json json = Json::array();
  const double ours = median(rows[0].ms);
  for (const Row& row : rows) {
    const double ms = median(row.ms);
    const auto [low, high] = std::minmax_element(row.ms.begin(), row.ms.end());
    report.table.rows.push_back({row.name, fmt::format("{:.3f}", ms), fmt::format("{:.3f}", *low),
                                 fmt::format("{:.3f}", *high), fmt::format("{:.1f} %", 100.0 * row.error),
                                 fmt::format("{:.2f}x", ms / ours),
                                 row.memory > 0.0 ? fmt::format("{:.0f}", row.memory / 1048576.0) : "-"});
    json.push_back({{"name", row.name},
                    {"ms", row.ms},
                    {"median_ms", ms},
                    {"error", row.error},
                    {"ratio", ms / ours},
                    {"memory", row.memory}});
  }
  report.remarks = {"against gridstep: how many times as long as the first row.",
                    "MiB: the most that was taken from before the network was made to the end of its third step."};
  report.json = {{"benchmark", "compare"},     {"environment", environment_json(device->describe())},
                 {"step", text_of(args.step)}, {"torch", torch},
                 {"rounds", args.rounds},      {"rows", json}};
  report.show(args.common.files);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand("compare", "A training step here and in PyTorch, in turn, on one device");
  add_step_options(*command, args->step);
  command->add_option("--peer-python", args->python, "Python with PyTorch")->capture_default_str();
  command->add_option("--peers", args->peers, "Folder of the peers' scripts")->capture_default_str();
  std::string names;
  for (const Peer& peer : all_peers()) names += (names.empty() ? "" : "; ") + peer.name;
  command->add_option("--only", args->only, "Only these peers: " + names);
  command->add_option("--rounds", args->rounds, "Rounds, all in turn")->check(CLI::Range(1, 100));
  add_common_options(*command, args->common);
  command->callback([args] {
    resolve(args->step);
    run(*args);
  });
}

}  // namespace gridstep::bench
