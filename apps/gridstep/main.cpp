// gridstep: the command line. Parses, runs the chosen command, and turns errors into messages and exit codes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "apps/gridstep/commands.h"
#include "engine/base/error.h"
#include "engine/base/interrupt.h"
#include "engine/base/map_faults.h"
#include "engine/base/names.h"
#include "engine/device/plugin.h"

namespace gridstep {
namespace {

constexpr int kUsage = 2;
constexpr int kNoMemory = 4;

// The innermost command that was named: its options and subcommands are those the user can have meant.
const CLI::App& named_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : named_command(*chosen.front());
}

std::string suggestion(const CLI::App& command, const std::vector<std::string>& words) {
  for (const auto& word : words) {
    std::vector<std::string> known;
    if (word.starts_with('-')) {
      for (const CLI::Option* option : command.get_options()) {
        for (const auto& name : option->get_lnames()) known.push_back("--" + name);
      }
    } else {
      for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
        known.push_back(sub->get_name());
      }
    }
    std::string hint = did_you_mean(word.substr(0, word.find('=')), known);
    if (!hint.empty()) return hint;
  }
  return {};
}

int usage_error(const CLI::App& app, const CLI::ParseError& e) {
  const CLI::App& command = named_command(app);
  const auto extras = app.remaining(true);
  const std::string what = !extras.empty() ? fmt::format("unexpected argument '{}'", extras.front()) : e.what();
  std::string path;
  for (const CLI::App* part = &command; part != nullptr; part = part->get_parent())
    path = part->get_name() + " " + path;
  fmt::print(stderr, "error: {}{}. See {}--help\n", what, suggestion(command, extras), path);
  return kUsage;
}

int run(int argc, char** argv) {
  CLI::App app("Quantization-aware training on a CUDA grid: studies, training, evaluation", "gridstep");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(build_id()));
  app.failure_message([](const CLI::App*, const CLI::Error&) { return std::string(); });
  add_study_commands(app);
  add_eval_command(app);
  add_describe_command(app);
  add_data_commands(app);
  add_doctor_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help ends up here too, with exit code 0.
    return e.get_exit_code() == 0 ? app.exit(e) : usage_error(app, e);
  }
  return 0;
}

}  // namespace
}  // namespace gridstep

int main(int argc, char** argv) {
  gridstep::install_interrupt_handlers();
  gridstep::install_map_fault_handler();
  try {
    return gridstep::run(argc, argv);
  } catch (const gridstep::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory; a smaller --set train.batch or --set train.replicas=1 needs less\n");
    return gridstep::kNoMemory;
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
