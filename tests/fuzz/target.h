// A fuzz target is one function that is given hostile bytes. Preset `fuzz` makes a libFuzzer program of each; the
// ordinary suite puts all of them into one program that replays files (replay.cpp).
//
// A target lets pass the errors that the code under test promises, and checks what it promises of anything it accepts.
// Whatever else happens, another exception, a crash, a report of a sanitizer, ends the process: a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/file.h"
#include "tests/support/temporary_folder.h"

namespace gridstep::fuzz {

using Input = std::span<const std::byte>;

inline void require(bool condition, const char* promise) {
  if (condition) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// Whether `work` ends without the error E, which must say something. Other exceptions go their way.
template <class E, class F>
bool accepts(F&& work) {
  try {
    work();
    return true;
  } catch (const E& e) {
    require(e.what()[0] != '\0', "an error says what is wrong");
    return false;
  }
}

inline std::string_view text_of(Input input) { return {reinterpret_cast<const char*>(input.data()), input.size()}; }
inline Input bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// The folder of this process (in $TMPDIR: run.sh gives one in memory), for what can be read from files only.
inline const fs::path& scratch() {
  static const test::TemporaryFolder folder;
  return folder.path();
}

inline fs::path put(const fs::path& name, std::string_view content) {
  const fs::path path = scratch() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  return path;
}

// Replay only: makes a target known by its name.
struct Registration {
  Registration(std::string_view name, void (*target)(Input));
};

}  // namespace gridstep::fuzz

// GS_FUZZ_TARGET(name) { ... uses `input` ... }
#ifdef GRIDSTEP_LIBFUZZER
#define GS_FUZZ_TARGET(name)                                                          \
  static void name##_target(gridstep::fuzz::Input input);                             \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    name##_target(std::as_bytes(std::span(data, size)));                              \
    return 0;                                                                         \
  }                                                                                   \
  static void name##_target(gridstep::fuzz::Input input)
#else
#define GS_FUZZ_TARGET(name)                                                           \
  static void name##_target(gridstep::fuzz::Input input);                              \
  static const gridstep::fuzz::Registration name##_registration{#name, name##_target}; \
  static void name##_target(gridstep::fuzz::Input input)
#endif
