// The subcommands of the program. Each function registers its commands with the parser; the chosen one runs in its
// callback and reports errors as exceptions (engine/base/error.h), which main() turns into messages and exit codes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace gridstep {

class CellRunner;
class Config;
struct Cell;

// What --bits says: "8,8", "2,4", "float" (which is "32,32"). Throws ConfigError. (cmd_study.cpp)
struct Bits {
  std::int64_t weights, activations;
};
Bits parse_bits(const std::string& text);

void add_study_commands(CLI::App& app);    // study, train
void add_eval_command(CLI::App& app);      // eval
void add_describe_command(CLI::App& app);  // describe
void add_data_commands(CLI::App& app);     // data reduce | check | synth | pack
void add_doctor_command(CLI::App& app);    // doctor

// Throws ConfigError where one of the options was given: "--patch has no effect on resnet20". (cmd_describe.cpp)
void refuse_options(const CLI::App& command, std::initializer_list<const char*> options, std::string_view where);

// What trains the cells of a study; `run_options` holds the run.* keys. Opens no data. DeviceError: a device that was
// asked for and is not there.
std::unique_ptr<CellRunner> make_runner(const Config& run_options);

}  // namespace gridstep
