#include "engine/base/file_watch.h"

#include <sys/stat.h>

namespace gridstep {
namespace {

std::int64_t nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FileWatch::FileWatch(const fs::path& path) : path_(path), state_(state_of(path)) {}

FileWatch::State FileWatch::state_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {true,
          info.st_dev,
          info.st_ino,
          static_cast<std::uint64_t>(info.st_size),
          nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim)};
}

bool FileWatch::was_written() {
  const State now = state_of(path_);
  if (now == state_ || now.inode != state_.inode || now.device != state_.device) return false;
  if (now.size < state_.size) {
    fail<DataChanged>("{} was cut short while it was in use, from {} to {} bytes", path_.string(), state_.size,
                      now.size);
  }
  state_ = now;
  return true;
}

}  // namespace gridstep
