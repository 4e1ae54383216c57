// Says so, instead of dying by an illegal instruction, where the processor lacks the instruction set that this build
// needs. Runs before the constructors of every library; hence no library but write(), and hence the build compiles this
// file alone for the processor family's baseline.
#if defined(__x86_64__) && defined(GRIDSTEP_X86_LEVEL)

#include <unistd.h>

namespace {

constexpr int kDeviceExitCode = 4;
constexpr char kMessage[] =
    "error: this build needs a processor of the level " GRIDSTEP_X86_LEVEL
    " (x86-64-v3: AVX2 and FMA), and this one is below it. Build again with cmake -DGS_ARCH=x86-64\n";

bool processor_suffices() {
  __builtin_cpu_init();
#if defined(__clang__) && __clang_major__ < 18  // knows features, but not levels
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
  return __builtin_cpu_supports(GRIDSTEP_X86_LEVEL);
#endif
}

void check_processor(int, char**, char**) {
  if (processor_suffices()) return;
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(kDeviceExitCode);
}

}  // namespace

extern "C" {
__attribute__((section(".preinit_array"), used)) void (*const gridstep_check_processor)(int, char**,
                                                                                        char**) = check_processor;
}

#endif
