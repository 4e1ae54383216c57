// The table of a study, for a terminal and as Markdown.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/study/definition.h"
#include "engine/study/results.h"

namespace gridstep {

enum class TableStyle { kTerminal, kMarkdown };
enum class Align { kLeft, kRight };

struct TextTable {
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  std::size_t footer_rows = 0;  // the last rows, set apart by a rule on a terminal

  std::string render(TableStyle style) const;
};

// "29.412" for dB, "0.91234" for SSIM, "0.0001234" for losses; "-" for nothing.
std::string metric_text(std::string_view metric, const std::optional<double>& value);

// What the study is, one fact per line: network, bits, data, epochs, patch, measuring protocol, tuning budget, device.
std::vector<std::string> study_heading(const Study& study, const StudyFacts& facts);
// "7 per optimizer, 2 per decade, seed 1000, 6 epochs each, ..."
std::string tuning_text(const Study& study);

// Heading, rows by rank with the floor below, and remarks: rows under the floor, diverged and failed cells, clipping
// that never acted.
std::string study_table(const Study& study, std::span<const CellResult> cells, std::span<const SummaryRow> rows,
                        const StudyFacts& facts, TableStyle style);

// Title, facts, table, remarks, in the given style; also used for the tuning table.
std::string page(const std::string& title, const std::vector<std::string>& facts, const TextTable& table,
                 const std::vector<std::string>& remarks, TableStyle style);

}  // namespace gridstep
