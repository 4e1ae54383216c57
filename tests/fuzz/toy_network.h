// A network of few numbers with one parameter of each kind, for checkpoints that a fuzzer can write.
#pragma once

#include <memory>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/parameter_store.h"

namespace gridstep::fuzz {

inline std::vector<ParameterInfo> toy_table() {
  return {{.name = "conv.weight", .shape = {2, 1, 2, 3}},
          {.name = "conv.bias", .shape = {2}, .role = Role::kBias},
          {.name = "conv.input.step", .shape = {1}, .role = Role::kStep, .log_step = true, .state = "conv.input.step0"},
          {.name = "conv.input.step0", .shape = {1}, .role = Role::kState},
          {.name = "fc.weight", .shape = {3, 1, 1, 2}, .clip_units = false},
          {.name = "fc.bias", .shape = {3}, .role = Role::kBias, .clip_units = false}};
}

}  // namespace gridstep::fuzz
