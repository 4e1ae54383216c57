#include "cases.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <vector>

#include "symbols.h"

namespace simt {
namespace {

std::map<const void*, unsigned long>& launches() {
  static std::map<const void*, unsigned long> counts;
  return counts;
}

// Names of the kernels that a source defines.
std::vector<std::string> kernels_in(const std::filesystem::path& source) {
  std::ifstream file(source);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  static const std::regex kernel(R"(__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()");
  std::vector<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), kernel), end; match != end; ++match) {
    names.push_back((*match)[1]);
  }
  return names;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// "relu_cuda.cu", "k": "relu:k"
std::string label(const std::string& file, const std::string& kernel) {
  return file.substr(0, file.find("_cuda.cu")) + ":" + kernel;
}

// An instance that several sources may share: the name with its template arguments.
std::string label_of_instance(const Symbol& symbol) {
  if (!symbol.file.empty()) return label(symbol.file, symbol.name);
  const std::size_t begin = symbol.full.find(symbol.name + "<");
  std::size_t end = begin;
  if (begin == std::string::npos) return symbol.name;
  for (int depth = 0; end < symbol.full.size(); ++end) {
    depth += symbol.full[end] == '<' ? 1 : symbol.full[end] == '>' ? -1 : 0;
    if (depth == 0 && symbol.full[end] == '>') break;
  }
  const std::string text = symbol.full.substr(begin, end + 1 - begin);
  static const std::regex space("gridstep::");
  return std::regex_replace(text, space, "");
}

}  // namespace

void count_launch(const void* kernel) { ++launches()[kernel]; }

std::map<std::string, unsigned long> cases_of_product(const std::string& root) {
  std::map<std::string, unsigned long> cases;
  std::vector<std::string> shared;  // templates of headers, whose instances belong to the sources that use them
  for (const char* folder : {"kernels", "optim"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root + "/" + folder)) {
      const std::string file = entry.path().filename();
      if (ends_with(file, "_cuda.cu")) {
        for (const std::string& kernel : kernels_in(entry.path())) cases[label(file, kernel)];
      } else if (ends_with(file, ".cuh")) {
        for (const std::string& kernel : kernels_in(entry.path())) shared.push_back(kernel);
      }
    }
  }
  for (const auto& [address, count] : launches()) {
    const Symbol& symbol = kernel_at(address);
    if (const auto at = cases.find(label(symbol.file, symbol.name)); at != cases.end()) at->second += count;
  }
  for (const auto& [address, symbol] : functions_named(shared)) {
    if (!symbol->file.empty() && !ends_with(symbol->file, "_cuda.cu")) continue;
    const auto found = launches().find(address);
    cases[label_of_instance(*symbol)] += found == launches().end() ? 0 : found->second;
  }
  return cases;
}

}  // namespace simt
