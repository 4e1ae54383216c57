// Models: functions that describe a network as a graph, and the registry of them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/blocks.h"
#include "models/quant_config.h"

namespace gridstep {

struct ModelOptions {
  int scale = 3;                    // super-resolution: 2, 3 or 4
  std::string activation = "relu";  // "relu" or "tanh"
  QuantConfig quant;
};

struct BuiltModel {
  ValueId output = kNoValue;
  std::vector<QuantizerSite> quantizers;
};

struct ModelInfo {
  std::string_view name;
  std::string_view task;  // "super-resolution"
  // Adds the network to the graph behind `image`, a value of u8 pixels (N, H, W, 3).
  BuiltModel (*build)(Graph& graph, ValueId image, const ModelOptions& options);
  // Pixels at the border of the input that an output pixel may depend on, beyond its own position.
  int receptive_radius;
};

const std::vector<ModelInfo>& all_models();
const ModelInfo& find_model(std::string_view name);  // throws ConfigError that lists the names and the nearest match

BuiltModel build_espcn(Graph& graph, ValueId image, const ModelOptions& options);

}  // namespace gridstep
