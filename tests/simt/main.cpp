// Runs the tests. A whole run (no arguments) beside the sources then says how many launches each kernel of the product
// had and fails where one had none.
#define CATCH_CONFIG_RUNNER
#include "tests/support/catch.h"

#include <cstdio>
#include <filesystem>

#include "cases.h"

int main(int argc, char** argv) {
  const int failed = Catch::Session().run(argc, argv);
  if (argc > 1) return failed;
  if (!std::filesystem::exists(GRIDSTEP_SOURCE_DIR "/kernels")) {
    std::printf("simt: cases are not counted: the sources are not at %s\n", GRIDSTEP_SOURCE_DIR);
    return failed;
  }
  int without = 0;
  for (const auto& [kernel, cases] : simt::cases_of_product(GRIDSTEP_SOURCE_DIR)) {
    std::printf("simt: %s %lu cases\n", kernel.c_str(), cases);
    without += cases == 0 ? 1 : 0;
  }
  if (without > 0) std::printf("simt: %d kernel(s) without a case: add one to tests/simt\n", without);
  return failed != 0 ? failed : without > 0 ? 1 : 0;
}
