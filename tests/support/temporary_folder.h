// A folder of a test's own, removed with all it holds.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "engine/base/error.h"
#include "engine/base/file.h"

namespace gridstep::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "gridstep-test-XXXXXX").string();
    GS_CHECK(::mkdtemp(pattern.data()) != nullptr, "cannot create a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& name) const { return path_ / name; }

 private:
  fs::path path_;
};

}  // namespace gridstep::test
