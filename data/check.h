// Which pictures of a file or folder can be used, and what is wrong with the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/codecs/decode.h"
#include "engine/base/file.h"

namespace gridstep {

struct CheckedFile {
  fs::path path;
  std::string fault;  // empty: decodes in full
};

struct CheckReport {
  std::vector<CheckedFile> files;  // in byte order of their paths
  std::size_t passed_over = 0;     // files of a folder that do not look like images, and hidden ones

  std::vector<CheckedFile> bad() const;
  // At least one picture, and every one can be used.
  bool ok() const;
};

// Decodes the file, or every file below the folder that looks like an image (hidden folders are passed over), in full.
// Throws DataError when the path does not exist or a folder cannot be listed.
CheckReport check_path(const fs::path& path, std::int64_t max_pixels = kDefaultMaxPixels);

}  // namespace gridstep
