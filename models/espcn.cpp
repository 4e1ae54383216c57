// ESPCN, the efficient sub-pixel convolutional network (Shi et al., CVPR 2016, arXiv 1609.05158), on RGB:
//   64 filters 5x5, activation, 32 filters 3x3, activation, 3 r^2 filters 3x3, pixel shuffle by r.
// Initial weights: N(0, sqrt(2 / (K k^2))) for the first two, N(0, 1e-3) for the last, biases 0 (the paper gives none).
#include <cmath>

#include "engine/base/error.h"
#include "kernels/pixel_shuffle/pixel_shuffle.h"
#include "models/model.h"

namespace gridstep {
namespace {

float he_std(Index filters, Index kernel) {
  return static_cast<float>(std::sqrt(2.0 / static_cast<double>(filters * kernel * kernel)));
}

}  // namespace

BuiltModel build_espcn(Graph& graph, ValueId image, const ModelOptions& options) {
  if (options.scale < 2 || options.scale > 4)
    fail<ConfigError>("model.scale = {}: espcn enlarges by 2, 3 or 4", options.scale);
  if (options.activation != "relu" && options.activation != "tanh") {
    fail<ConfigError>("model.activation = '{}': espcn knows relu and tanh", options.activation);
  }
  ModelBuilder b(graph, options.quant);
  const auto activate = [&](const std::string& layer, const Activation& x) {
    return options.activation == "relu" ? b.relu(layer + "/relu", x) : b.tanh(layer + "/tanh", x);
  };
  const Index outputs = Index{3} * options.scale * options.scale;
  Activation x{.value = image, .is_pixels = true};
  x = activate("conv1", b.conv("conv1", x, {.filters = 64, .kernel = 5, .init_std = he_std(64, 5), .edge = true}));
  x = activate("conv2", b.conv("conv2", x, {.filters = 32, .kernel = 3, .init_std = he_std(32, 3)}));
  x = b.conv("conv3", x, {.filters = outputs, .kernel = 3, .init_std = he_std(outputs, 3), .edge = true});
  const ValueId y = pixel_shuffle(graph, "shuffle", b.output("conv3", x), {options.scale});
  b.check_rules();
  return {y, b.sites()};
}

}  // namespace gridstep
