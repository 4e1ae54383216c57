// run_defect NAME forward|reverse|random: runs one planted defect. Exit code 0: nothing noticed, 3: wrong result, 4:
// the harness's own finding; a sanitizer ends the program with a code of its own or after it.
#include <cstdio>
#include <string>

#include "defects.h"
#include "simt.h"

int main(int argc, char** argv) {
  const auto& defects = gridstep::test::defects();
  const auto defect = argc == 3 ? defects.find(argv[1]) : defects.end();
  if (defect == defects.end()) {
    std::fprintf(stderr, "usage: run_defect NAME forward|reverse|random; the names:\n");
    for (const auto& [name, run] : defects) std::fprintf(stderr, "  %s\n", name.c_str());
    return 2;
  }
  const std::string order = argv[2];
  simt::schedule().order = order == "reverse"  ? simt::Order::kReverse
                           : order == "random" ? simt::Order::kRandom
                                               : simt::Order::kForward;
  try {
    if (defect->second()) return 0;
    std::printf("wrong result\n");
    return 3;
  } catch (const simt::Failure& failure) {
    std::printf("simt: %s\n", failure.what());
    return 4;
  }
}
