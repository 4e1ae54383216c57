// Where a command may write a picture, and how it names files.
#pragma once

#include <string>

#include "engine/base/error.h"
#include "engine/base/file.h"

namespace gridstep {

// A path as people may see it: control characters of odd file names must not reach the terminal.
inline std::string printable(const fs::path& path) {
  std::string text = path.string();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

// Throws ConfigError unless `out` is named as a PNG file, which is what gets written, in a folder that is there, and is
// neither a folder nor `in`.
inline void require_png_output(const fs::path& in, const fs::path& out) {
  std::string ending = out.extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (ending != ".png") fail<ConfigError>("{}: a PNG file is written; name it .png", printable(out));
  std::error_code ignored;
  if (out.has_parent_path() && !fs::is_directory(out.parent_path(), ignored))
    fail<ConfigError>("{}: the folder {} is not there", printable(out), printable(out.parent_path()));
  if (fs::is_directory(out, ignored)) fail<ConfigError>("{} is a folder: name a file", printable(out));
  if (fs::equivalent(in, out, ignored))
    fail<ConfigError>("{} would be written over itself: name another file", printable(out));
}

}  // namespace gridstep
