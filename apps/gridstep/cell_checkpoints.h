// The checkpoints of a cell: checkpoints/last.safetensors, what the cell goes on from; best.safetensors; and, while it
// is being trained, previous.safetensors, the one before the last, which stands in for a damaged one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "engine/base/file.h"
#include "engine/io/safetensors.h"

namespace gridstep {

// What a checkpoint says of its cell besides the network.
struct CellRecord {
  std::string fault;                         // why it diverged; empty: it did not
  std::map<std::string, double> last, best;  // metrics by name
  std::int64_t best_epoch = -1;
};

std::string record_text(const CellRecord& record);    // the metadata entry "progress"
CellRecord read_record(const SafetensorsFile& file);  // throws DataError naming the file

fs::path checkpoint_path(const fs::path& cell_folder, const char* which);  // "last", "best", "previous"

// The newest checkpoint to go on from whose checksum holds. A damaged one is renamed to damaged.safetensors, with a
// warning. None: the cell starts from its beginning.
std::optional<SafetensorsFile> usable_checkpoint(const fs::path& cell_folder);

// Its step; 0 when there is none.
std::int64_t checkpoint_step(const fs::path& cell_folder);

// Makes room for a new last checkpoint: the present one becomes the previous.
void set_last_aside(const fs::path& cell_folder);

// Of a cell that has ended.
void remove_previous(const fs::path& cell_folder);

}  // namespace gridstep
