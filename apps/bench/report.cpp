#include "apps/bench/report.h"

#include <fmt/format.h>

#include <ctime>

#include "engine/base/file.h"
#include "engine/device/plugin.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep::bench {
namespace {

std::string& command_line() {
  static std::string line = "gridstep-bench";
  return line;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

}  // namespace

void set_command_line(int argc, char** argv) {
  std::string line = "gridstep-bench";
  for (int i = 1; i < argc; ++i) line += std::string(" ") + argv[i];
  command_line() = line;
}

std::vector<std::string> environment_facts(const std::string& device) {
  return {fmt::format("{}; {}; commit {}; {}", device, convolution_library(), build_commit(), today()), command_line()};
}

Json environment_json(const std::string& device) {
  return {{"device", device},
          {"convolutions", convolution_library()},
          {"commit", build_commit()},
          {"date", today()},
          {"command", command_line()}};
}

void Report::show(const ReportFiles& files) const {
  fmt::print("{}\n", page(title, facts, table, remarks, TableStyle::kTerminal));
  if (!files.json.empty()) write_file_atomic(files.json, json.dump(2) + "\n");
  if (!files.markdown.empty())
    write_file_atomic(files.markdown, page(title, facts, table, remarks, TableStyle::kMarkdown));
}

}  // namespace gridstep::bench
