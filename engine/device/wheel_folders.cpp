#include "engine/device/wheel_folders.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <system_error>

namespace gridstep {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Folders inside `folder`, by name; none where it cannot be read.
std::vector<fs::path> folders_in(const fs::path& folder, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code not_there;
    if (entry.path().filename().string().starts_with(prefix) && entry.is_directory(not_there)) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The prefix of the python3 that a shell would start. Its link is not followed: a virtual environment's leads out of
// it.
fs::path prefix_in(const std::string& path) {
  std::istringstream list(path);
  for (std::string folder; std::getline(list, folder, ':');) {
    std::error_code error;
    if (!folder.empty() && fs::exists(fs::path(folder) / "python3", error)) return fs::path(folder).parent_path();
  }
  return {};
}

std::vector<fs::path> prefixes_of(const PythonPlaces& places) {
  std::vector<fs::path> prefixes;
  const auto add = [&](const fs::path& prefix) {
    const bool known = std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end();
    if (prefix.is_absolute() && !known) prefixes.push_back(prefix);
  };
  add(places.virtual_env);
  add(places.conda_prefix);
  const fs::path in_path = prefix_in(places.path);
  add(in_path);
  if (in_path == "/usr") add("/usr/local");  // where Debian's pip writes
  if (!places.home.empty()) add(fs::path(places.home) / ".local");
  return prefixes;
}

}  // namespace

PythonPlaces PythonPlaces::from_environment() {
  return {variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"), variable("PATH"), variable("HOME")};
}

std::vector<fs::path> wheel_library_folders(const PythonPlaces& places) {
  std::vector<fs::path> found;
  for (const fs::path& prefix : prefixes_of(places)) {
    for (const char* lib : {"lib", "lib64"}) {
      for (const fs::path& python : folders_in(prefix / lib, "python3")) {
        for (const char* packages : {"site-packages", "dist-packages"}) {
          for (const fs::path& package : folders_in(python / packages / "nvidia", "")) {
            std::error_code error;
            const fs::path folder = fs::canonical(package / "lib", error);
            const bool known = std::find(found.begin(), found.end(), folder) != found.end();
            if (!error && fs::is_directory(folder, error) && !known) found.push_back(folder);
          }
        }
      }
    }
  }
  return found;
}

}  // namespace gridstep
