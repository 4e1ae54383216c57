// The subcommands of the program. Each function registers its commands with the parser; the chosen one runs in its
// callback and reports errors as exceptions (engine/base/error.h), which main() turns into messages and exit codes.
#pragma once

#include <memory>

namespace CLI {
class App;
}

namespace gridstep {

class CellRunner;
class Config;

void add_study_commands(CLI::App& app);    // study, train
void add_eval_command(CLI::App& app);      // eval
void add_describe_command(CLI::App& app);  // describe
void add_data_commands(CLI::App& app);     // data reduce | check | synth | pack
void add_doctor_command(CLI::App& app);    // doctor

// What trains the cells of a study; `run_options` holds the run.* keys. Opens no data; a device that was asked for and
// is not there throws DeviceError.
std::unique_ptr<CellRunner> make_runner(const Config& run_options);

}  // namespace gridstep
