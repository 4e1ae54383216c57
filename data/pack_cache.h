// Where packs are kept, and when old ones go.
#pragma once

#include <optional>
#include <string>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"

namespace gridstep {

// $XDG_CACHE_HOME/gridstep, else $HOME/.cache/gridstep, else gridstep-cache in the system's temporary folder.
fs::path default_cache_dir();

// The folder chosen, or the default one.
fs::path pack_folder(const fs::path& chosen);

void make_pack_folder(const fs::path& folder);  // throws Error with the system's reason

// The same text for the same folder, however it was named.
std::string canonical_place(const fs::path& folder);

// What `open(path)` makes of a pack, or nothing where there is none; a damaged one is warned of and counts as none.
template <class Open>
auto open_existing_pack(const fs::path& path, Open open) -> std::optional<decltype(open(path))> {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return open(path);
  } catch (const DataError& e) {
    log_warn("{}; building it again", e.what());
    return std::nullopt;
  }
}

// Adds what tells one state of a file from another without reading it: its size and time.
void add_file_state(const fs::path& file, Hasher& hasher);

// Removes packs of earlier states of the same sources, which share the prefix of `current`, and what a killed process
// left of one.
void remove_outdated_packs(const fs::path& current, const std::string& prefix);

}  // namespace gridstep
