// What a benchmark found: a table on the terminal, and on request as JSON and Markdown.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/study/table.h"

namespace gridstep::bench {

using Json = nlohmann::ordered_json;

struct ReportFiles {
  std::string json, markdown;  // paths; empty: none
};

struct Report {
  std::string title;
  std::vector<std::string> facts;
  TextTable table;
  std::vector<std::string> remarks = {};
  Json json;  // the same, in full precision

  // Prints it and writes the files.
  void show(const ReportFiles& files) const;
};

// Device, libraries, commit and the command line: the head of every report.
std::vector<std::string> environment_facts(const std::string& device);
Json environment_json(const std::string& device);
// Kept for the reports: argv joined by blanks.
void set_command_line(int argc, char** argv);

}  // namespace gridstep::bench
