// Weights of another network of the same kind as the start of training: of a checkpoint here, or of a file from
// PyTorch (torchvision's or timm's names; f32, f64, f16 or bf16).
#pragma once

#include <string>
#include <vector>

#include "engine/graph/parameter_store.h"
#include "engine/io/safetensors.h"

namespace gridstep {

// Names of parameters, in the network's order; of tensors, in the file's.
struct ImportReport {
  std::vector<std::string> matched;
  std::vector<std::string> head;        // of a classifier for another number of classes: keep their initial values
  std::vector<std::string> calibrated;  // steps of quantizers that the file does not have: found from data
  std::vector<std::string> fresh;       // other state that the file does not have: keeps its initial value
  std::vector<std::string> skipped;     // tensors of the file without a place in the network, optimizers' slots aside

  std::string text() const;  // "62 tensors taken, ..."
};

// Loads what the file has for a replica. A name may have the prefix "module." there, and a fully connected layer's
// weights may be (K, C) for (K, C, 1, 1). Every weight and bias must be in the file, of the network's shape; only the
// head of a classifier (ParameterInfo::clip_units false) may be of another number of classes. Throws DataError that
// names the tensor, both shapes and what to do. Nothing is changed then.
ImportReport import_weights(const SafetensorsFile& file, ParameterStore& store, int replica);

}  // namespace gridstep
