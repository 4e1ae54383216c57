// Where a command may write a picture.
#pragma once

#include "engine/base/error.h"
#include "engine/base/file.h"

namespace gridstep {

// Throws ConfigError unless `out` is named as a PNG file, which is what gets written, in a folder that is there, and is
// another file than `in`.
inline void require_png_output(const fs::path& in, const fs::path& out) {
  std::string ending = out.extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (ending != ".png") fail<ConfigError>("{}: a PNG file is written; name it .png", out.string());
  std::error_code ignored;
  if (out.has_parent_path() && !fs::is_directory(out.parent_path(), ignored))
    fail<ConfigError>("{}: the folder {} is not there", out.string(), out.parent_path().string());
  if (fs::equivalent(in, out, ignored))
    fail<ConfigError>("{} would be written over itself: name another file", out.string());
}

}  // namespace gridstep
