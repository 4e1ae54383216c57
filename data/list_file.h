// Lists of files, a path per line, as data sets bring them: with or without a byte order mark, LF or CRLF line ends, a
// leading "./" or ".//", blank lines, and names with spaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file.h"

namespace gridstep {

struct ListLine {
  std::size_t number = 0;  // from 1
  std::string text;        // without line end, byte order mark and leading "./"
};

// A list comes with the data: it must not lead out of the data's folder. Throws DataError naming `file` and the line
// for a path that is absolute or has a ".." in it, or a NUL byte.
void require_below(const std::string& name, std::size_t line, const fs::path& file);

// Every line is looked at by require_below(). Where only a part of it is a path, that part must be as well.
std::vector<ListLine> parse_list(std::string_view content, const fs::path& file);

std::vector<ListLine> read_list(const fs::path& file);

}  // namespace gridstep
