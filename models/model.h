// Models: functions that describe a network as a graph, and the registry of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/normalization.h"
#include "models/blocks.h"
#include "models/quant_config.h"

namespace gridstep {

struct ModelOptions {
  int scale = 3;                    // super-resolution: 2, 3 or 4
  std::string activation = "relu";  // espcn: "relu" or "tanh"
  int classes = 10;                 // classification
  std::string stem = "auto";        // resnet: "imagenet" (7x7 at stride 2, pool), "cifar" (3x3); "auto": the model's
  std::string shortcut = "auto";  // resnet, where shapes change: "a" (subsample, zero channels), "b" (1x1 convolution)
  NormMode norm = NormMode::kTraining;
  Normalization normalize = {};  // classification: of the pixels
  QuantConfig quant;
};

struct BuiltModel {
  ValueId output = kNoValue;
  std::vector<QuantizerSite> quantizers;
  std::vector<std::string> statistics = {};  // parameters that hold running statistics
};

struct ModelInfo {
  std::string_view name;
  std::string_view task;  // "super-resolution" or "classification"
  // Adds the network to the graph behind `image`, a value of u8 pixels (N, H, W, 3).
  BuiltModel (*build)(Graph& graph, ValueId image, const ModelOptions& options);
  // Super-resolution: pixels at the border of the input that an output pixel may depend on, beyond its own position.
  int receptive_radius = 0;
  std::string_view stem = {};  // what ModelOptions::stem = "auto" means
};

const std::vector<ModelInfo>& all_models();
const ModelInfo& find_model(std::string_view name);  // throws ConfigError that lists the names and the nearest match

BuiltModel build_espcn(Graph& graph, ValueId image, const ModelOptions& options);
// Output: logits (N, 1, 1, classes).
BuiltModel build_resnet18(Graph& graph, ValueId image, const ModelOptions& options);
BuiltModel build_resnet20(Graph& graph, ValueId image, const ModelOptions& options);
BuiltModel build_resnet50(Graph& graph, ValueId image, const ModelOptions& options);

}  // namespace gridstep
