#include "engine/device/cgroup.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace gridstep {
namespace {

constexpr Bytes kUnlimited = std::numeric_limits<Bytes>::max();

// Names of the files of one version.
struct Version {
  const char* limit;
  const char* usage;
  const char* files[2];  // entries of memory.stat
};
constexpr Version kFirst{
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file", "total_active_file"}};
constexpr Version kSecond{"memory.max", "memory.current", {"inactive_file", "active_file"}};

std::optional<double> number_in(const fs::path& path) {  // none where there is no file, or it says "max"
  std::ifstream in(path);
  double value = 0.0;
  return in >> value ? std::optional(value) : std::nullopt;
}

double pages_of_files(const fs::path& group, const Version& version) {
  std::ifstream in(group / "memory.stat");
  double total = 0.0, value = 0.0;
  for (std::string name; in >> name >> value;)
    if (name == version.files[0] || name == version.files[1]) total += value;
  return total;
}

Bytes left_in(const fs::path& group, const Version& version) {
  constexpr double kNone = 4e18;  // version 1 has a number of this size for no limit
  const auto limit = number_in(group / version.limit), usage = number_in(group / version.usage);
  if (!limit || !usage || *limit <= 0.0 || *limit > kNone) return kUnlimited;
  const double held = std::max(0.0, *usage - pages_of_files(group, version));
  return static_cast<Bytes>(std::max(0.0, *limit - held));
}

// A container may see its own group at the root of the mount, whatever the path: groups that are not there limit
// nothing.
Bytes left_along(const fs::path& root, fs::path group, const Version& version) {
  Bytes left = left_in(root, version);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path())
    left = std::min(left, left_in(root / group, version));
  return left;
}

bool names_memory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

}  // namespace

Bytes cgroup_available_bytes(const fs::path& own, const fs::path& mount) {
  Bytes left = kUnlimited;
  std::ifstream in(own);
  for (std::string line; std::getline(in, line);) {  // "4:memory:/path", "0::/path"
    const std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      left = std::min({left, left_along(mount, path, kSecond), left_along(mount / "unified", path, kSecond)});
    } else if (names_memory(controllers)) {
      left = std::min(left, left_along(mount / "memory", path, kFirst));
    }
  }
  return left;
}

}  // namespace gridstep
