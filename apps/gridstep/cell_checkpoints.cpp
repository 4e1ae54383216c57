#include "apps/gridstep/cell_checkpoints.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/train/checkpoint.h"

namespace gridstep {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinities and NaNs: they are written as null.
std::map<std::string, double> metrics_of(const Json& entry) {
  std::map<std::string, double> metrics;
  for (const auto& [name, value] : entry.get_ref<const Json::object_t&>())
    metrics[name] = value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  return metrics;
}

}  // namespace

std::string record_text(const CellRecord& r) {
  return Json{{"fault", r.fault}, {"last", r.last}, {"best", r.best}, {"best_epoch", r.best_epoch}}.dump();
}

CellRecord read_record(const SafetensorsFile& file) {
  try {
    const Json saved = Json::parse(file.metadata("progress"));
    CellRecord record{saved.at("fault").get<std::string>(), metrics_of(saved.at("last")), metrics_of(saved.at("best"))};
    if (!saved.at("best_epoch").is_number_integer())
      fail<DataError>("{}: its best_epoch is not a whole number", file.path().string());
    record.best_epoch = saved.at("best_epoch").get<std::int64_t>();
    return record;
  } catch (const Json::exception& e) {
    fail<DataError>("{}: its progress cannot be read: {}", file.path().string(), e.what());
  }
}

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
      read_record(file);
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
