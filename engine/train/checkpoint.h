// Checkpoints: one replica's parameters and optimizer state as a safetensors file.
//
// Names are those of the parameters; optimizer slots are "optimizer.0.<name>", ... Convolution weights are stored (K,
// C, R, S), as PyTorch has them. The metadata holds the progress and what the caller adds; nothing depends on time,
// host, path or threads.
#pragma once

#include <map>
#include <string>

#include "engine/base/file.h"
#include "engine/graph/parameter_store.h"
#include "engine/io/safetensors.h"

namespace gridstep {

inline constexpr const char* kOptimizerPrefix = "optimizer.";  // of the names of slots

struct CheckpointState {
  std::int64_t step = 0;
  ReplicaStatus status;
  std::map<std::string, std::string> extra;  // the caller's own
};

// `slots`: how many optimizer slots this replica's rule uses.
void save_checkpoint(const fs::path& path, const ParameterStore& store, int replica, int slots,
                     const CheckpointState& state);

// Loads parameters and slots into a replica. Throws DataError when a tensor is missing or has another shape.
CheckpointState load_checkpoint(const SafetensorsFile& file, ParameterStore& store, int replica, int slots);

CheckpointState read_state(const SafetensorsFile& file);

}  // namespace gridstep
