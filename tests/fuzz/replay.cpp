// fuzz_replay TARGET PATH...: gives every file named, and every file in a folder named, to a fuzz target. A finding
// ends the process as it would end a fuzzer; the last file named is the culprit.
#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

std::map<std::string_view, void (*)(Input)>& targets() {
  static std::map<std::string_view, void (*)(Input)> all;
  return all;
}

std::vector<fs::path> files_of(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

int usage() {
  std::fprintf(stderr, "usage: fuzz_replay TARGET FILE|FOLDER...\ntargets:");
  for (const auto& [name, target] : targets()) std::fprintf(stderr, " %s", std::string(name).c_str());
  std::fprintf(stderr, "\n");
  return 2;
}

int replay(int argc, char** argv) {
  const auto target = argc < 3 ? targets().end() : targets().find(argv[1]);
  if (target == targets().end()) return usage();
  std::size_t count = 0;
  for (int i = 2; i < argc; ++i) {
    for (const fs::path& file : files_of(argv[i])) {
      const std::string content = read_file(file);
      std::printf("%s\n", file.c_str());
      std::fflush(stdout);
      // A copy of its exact size on the heap: AddressSanitizer sees the first byte behind it.
      const std::vector<char> copy(content.begin(), content.end());
      target->second(std::as_bytes(std::span(copy)));
      ++count;
    }
  }
  std::printf("%s: %zu files replayed\n", argv[1], count);
  return count == 0 ? 1 : 0;
}

}  // namespace

Registration::Registration(std::string_view name, void (*target)(Input)) { targets().emplace(name, target); }

}  // namespace gridstep::fuzz

int main(int argc, char** argv) { return gridstep::fuzz::replay(argc, argv); }
