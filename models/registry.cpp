#include "engine/base/error.h"
#include "engine/base/names.h"
#include "models/model.h"

namespace gridstep {

const std::vector<ModelInfo>& all_models() {
  static const std::vector<ModelInfo> models = {
      {"espcn", "super-resolution", build_espcn, 4},
      {"resnet18", "classification", build_resnet18, 0, "imagenet"},
      {"resnet20", "classification", build_resnet20, 0, "cifar"},
      {"resnet50", "classification", build_resnet50, 0, "imagenet"},
  };
  return models;
}

const ModelInfo& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelInfo& model : all_models()) {
    if (model.name == name) return model;
    names.emplace_back(model.name);
  }
  fail<ConfigError>("no model named '{}'{}; there are: {}", name, did_you_mean(name, names), join(names));
}

}  // namespace gridstep
