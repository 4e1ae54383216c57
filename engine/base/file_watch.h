// A file that must stay as it is while its map is in use: what is written into it shows in the map.
#pragma once

#include <cstdint>

#include "engine/base/error.h"
#include "engine/base/file.h"

namespace gridstep {

// Data that were checked are other ones now: no cell of a study may use them, so that it ends at once.
class DataChanged : public DataError {
 public:
  using DataError::DataError;
};

class FileWatch {
 public:
  FileWatch() = default;
  explicit FileWatch(const fs::path& path);

  const fs::path& path() const { return path_; }
  // Whether the file was written to since this was made, or since the last call; by its size and times, so that "yes"
  // says no more than perhaps. Removed, or replaced by another file, it was not: a map keeps the old one. Throws
  // DataChanged when it is shorter now: what is missing in a map must not be read.
  bool was_written();

 private:
  struct State {
    bool there = false;
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t written = 0, changed = 0;  // times, nanoseconds
    bool operator==(const State&) const = default;
  };
  static State state_of(const fs::path& path);

  fs::path path_;
  State state_;
};

}  // namespace gridstep
