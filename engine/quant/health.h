// The state of quantizers in training: what tells a layer that learns from one that is stuck, clipped or dead.
//   step           its step; the mean over channels
//   clipped        share of values outside [n s, p s]
//   codes_used     distinct codes over codes there are
//   dead_channels  output channels of a weight, channels (last axis) of an activation, all of whose codes are 0
//   update         weights: |w - w'| / |w'|, Euclidean norms over the last step from w' to w; 0 for activations
//   step_update    the same of the steps s
// Counted on the host, from values as the network computes them and codes by its own rule.
#pragma once

#include <string>
#include <vector>

#include "engine/quant/sites.h"

namespace gridstep {

struct SiteHealth {
  std::string name;  // "conv2.weight", "conv2.input"
  double step = 0.0, clipped = 0.0, codes_used = 0.0;
  std::int64_t dead_channels = 0;
  bool is_weight = false;
  double update = 0.0, step_update = 0.0;
};

// Of every site and replica: [replica][site]. Runs `forward` (unfused) and leaves parameters and status as they were.
// `before`: each replica's weights before the last step.
std::vector<std::vector<SiteHealth>> measure_health(Program& forward, ParameterStore& store,
                                                    const std::vector<QuantizerSite>& sites,
                                                    const std::vector<std::vector<float>>& before);

}  // namespace gridstep
