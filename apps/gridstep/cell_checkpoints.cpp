#include "apps/gridstep/cell_checkpoints.h"

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/train/checkpoint.h"

namespace gridstep {

fs::path checkpoint_path(const fs::path& cell_folder, const char* which) {
  return cell_folder / "checkpoints" / (std::string(which) + ".safetensors");
}

std::optional<SafetensorsFile> usable_checkpoint(const fs::path& cell_folder) {
  for (const char* which : {"last", "previous"}) {
    const fs::path path = checkpoint_path(cell_folder, which);
    if (!fs::exists(path)) continue;
    try {
      SafetensorsFile file(path);
      read_state(file);
      return file;
    } catch (const DataError& e) {
      fs::rename(path, checkpoint_path(cell_folder, "damaged"));
      log_warn("{}; it is kept as damaged.safetensors, and the cell goes on from {}", e.what(),
               fs::exists(checkpoint_path(cell_folder, "previous")) ? "the one before" : "its beginning");
    }
  }
  return std::nullopt;
}

std::int64_t checkpoint_step(const fs::path& cell_folder) {
  const std::optional<SafetensorsFile> file = usable_checkpoint(cell_folder);
  return file ? read_state(*file).step : 0;
}

void set_last_aside(const fs::path& cell_folder) {
  const fs::path last = checkpoint_path(cell_folder, "last");
  if (fs::exists(last)) fs::rename(last, checkpoint_path(cell_folder, "previous"));
}

void remove_previous(const fs::path& cell_folder) { fs::remove(checkpoint_path(cell_folder, "previous")); }

}  // namespace gridstep
