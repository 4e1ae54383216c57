#include "data/pack_cache.h"

#include <chrono>
#include <cstdlib>

#include "engine/base/error.h"

namespace gridstep {
namespace {

// Another process may be building the pack right now: a temporary file counts as left behind only after a while.
bool is_leftover(const fs::directory_entry& entry, const std::string& name) {
  if (name.find(".pack.tmp") == std::string::npos) return false;
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - entry.last_write_time(error);
  return !error && age > std::chrono::hours(1);
}

}  // namespace

fs::path default_cache_dir() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return fs::path(cache) / "gridstep";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache" / "gridstep";
  return fs::temp_directory_path() / "gridstep-cache";
}

fs::path pack_folder(const fs::path& chosen) { return chosen.empty() ? default_cache_dir() : chosen; }

void make_pack_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot create the folder for packs {}: {}", folder.string(), error.message());
}

std::string canonical_place(const fs::path& folder) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(folder, error);
  return error ? folder.string() : canonical.string();
}

void add_file_state(const fs::path& file, Hasher& hasher) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  hasher.add_number(error ? ~std::uint64_t{0} : size);
  const auto time = fs::last_write_time(file, error);
  hasher.add_number(error ? 0 : static_cast<std::uint64_t>(time.time_since_epoch().count()));
}

void remove_outdated_packs(const fs::path& current, const std::string& prefix) {
  std::error_code error;
  const std::string kept = current.filename().string();
  for (auto it = fs::directory_iterator(current.parent_path(), error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool pack = name.starts_with(prefix) && name.size() == kept.size() && it->path().extension() == ".pack";
    std::error_code ignored;
    const bool outdated = pack && name != kept;
    if (outdated || (name.starts_with(prefix) && is_leftover(*it, name))) fs::remove(it->path(), ignored);
  }
}

}  // namespace gridstep
