#include "data/list_file.h"

#include <algorithm>

#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_prefix(std::string_view line) {
  while (line.starts_with("./")) {
    line.remove_prefix(1);
    line.remove_prefix(std::min(line.find_first_not_of('/'), line.size()));
  }
  return line;
}

std::string_view without_blanks_behind(std::string_view line) {
  return line.substr(0, line.find_last_not_of(" \t\r") + 1);
}

}  // namespace

void require_below(const std::string& name, std::size_t line, const fs::path& file) {
  const fs::path path = name;
  const bool upwards = std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
  if (upwards || path.is_absolute() || name.find('\0') != std::string::npos)
    fail<DataError>("{}: line {}: '{}' is not a path below the data set's folder", file.string(), line, name);
}

std::vector<ListLine> parse_list(std::string_view content, const fs::path& file) {
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  std::vector<ListLine> lines;
  for (std::size_t number = 1; !content.empty(); ++number) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    const std::string_view text = without_prefix(without_blanks_behind(content.substr(0, end)));
    content.remove_prefix(std::min(end + 1, content.size()));
    if (text.empty()) continue;
    lines.push_back({number, std::string(text)});
    require_below(lines.back().text, number, file);
  }
  return lines;
}

std::vector<ListLine> read_list(const fs::path& file) { return parse_list(read_file(file), file); }

}  // namespace gridstep
