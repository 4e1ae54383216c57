// Residual networks (He et al., CVPR 2016, arXiv 1512.03385), post-activation, with torchvision's parameter names.
//   resnet18, resnet50   four stages of 64, 128, 256 and 512 channels; basic blocks (2, 2, 2, 2), or bottlenecks (3, 4,
//                        6, 3) of four times the channels, whose stride is at the 3x3 convolution (torchvision's form)
//   resnet20             the CIFAR form: three stages of 16, 32 and 64 channels, three basic blocks each
// A block adds its input, through a shortcut where the shape changes: a 1x1 convolution with batch normalisation ("b"),
// or every second pixel with zero channels on both sides ("a", the default of resnet20 as in the paper).
// Initial weights: N(0, sqrt(2 / (K k^2))) for convolutions, N(0, 1 / sqrt(3 C)) for the last layer (the variance of
// PyTorch's default), 1 for scales, 0 for shifts and the bias.
#include <cmath>

#include "engine/base/error.h"
#include "kernels/global_avg_pool/global_avg_pool.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/subsample_pad/subsample_pad.h"
#include "models/model.h"

namespace gridstep {
namespace {

struct ResnetPlan {
  std::vector<int> blocks;  // per stage
  Index width;              // of the first stage; it doubles from stage to stage
  bool bottleneck;
  const char* stem;
  const char* shortcut;
};

class ResnetBuilder {
 public:
  ResnetBuilder(Graph& graph, const ResnetPlan& plan, const ModelOptions& options)
      : graph_(graph),
        plan_(plan),
        options_(options),
        b_(graph, options.quant, options.norm),
        option_a_((options.shortcut == "auto" ? plan.shortcut : options.shortcut) == "a") {}

  BuiltModel build(ValueId image) {
    Activation x = stem(image);
    Index width = plan_.width;
    for (std::size_t stage = 0; stage < plan_.blocks.size(); ++stage, width *= 2) {
      for (int i = 0; i < plan_.blocks[stage]; ++i) {
        x = block(fmt::format("layer{}.{}", stage + 1, i), x, width, stage > 0 && i == 0 ? 2 : 1);
      }
    }
    x.value = global_avg_pool(graph_, "avgpool", x.value);
    const auto features = static_cast<double>(graph_.spec(x.value).shape[3]);
    const ConvSpec head{.filters = options_.classes,
                        .kernel = 1,
                        .init_std = static_cast<float>(1.0 / std::sqrt(3.0 * features)),
                        .edge = true,
                        .clip_units = false};
    const ValueId logits = b_.output("fc", b_.conv("fc", x, head));
    b_.check_rules();
    return {logits, b_.sites(), b_.statistics()};
  }

 private:
  static float he_std(Index filters, Index kernel) {
    return static_cast<float>(std::sqrt(2.0 / static_cast<double>(filters * kernel * kernel)));
  }

  Activation conv_norm(const std::string& conv, const std::string& norm, const Activation& x, Index filters,
                       Index kernel, Index stride, bool edge = false) {
    const ConvSpec spec{.filters = filters,
                        .kernel = kernel,
                        .stride = stride,
                        .init_std = he_std(filters, kernel),
                        .edge = edge,
                        .bias = false};
    return b_.batch_norm(norm, b_.conv(conv, x, spec));
  }

  Activation stem(ValueId image) {
    const bool imagenet = (options_.stem == "auto" ? plan_.stem : options_.stem) == "imagenet";
    const Activation pixels = b_.image(image, options_.normalize);
    Activation x = conv_norm("conv1", "bn1", pixels, plan_.width, imagenet ? 7 : 3, imagenet ? 2 : 1, true);
    x = b_.relu("relu", x);
    if (imagenet) x.value = max_pool(graph_, "maxpool", x.value, {.window = 3, .stride = 2, .pad = 1});
    return x;
  }

  Activation shortcut(const std::string& name, const Activation& x, Index channels, Index stride) {
    const Index have = graph_.spec(x.value).shape[3];
    if (have == channels && stride == 1) return x;
    if (!option_a_) return conv_norm(name + ".downsample.0", name + ".downsample.1", x, channels, 1, stride);
    const Index missing = channels - have, before = missing / 2;
    return {.value = subsample_pad(graph_, name + "/shortcut", x.value,
                                   {.stride = stride, .before = before, .after = missing - before}),
            .is_unsigned = x.is_unsigned};
  }

  Activation block(const std::string& name, const Activation& x, Index width, Index stride) {
    const auto layer = [&](int i, const Activation& in, Index filters, Index kernel, Index step) {
      return conv_norm(fmt::format("{}.conv{}", name, i), fmt::format("{}.bn{}", name, i), in, filters, kernel, step);
    };
    const auto relu = [&](int i, const Activation& in) { return b_.relu(fmt::format("{}/relu{}", name, i), in); };
    const Index channels = plan_.bottleneck ? 4 * width : width;
    Activation y;
    if (plan_.bottleneck) {
      y = relu(1, layer(1, x, width, 1, 1));
      y = relu(2, layer(2, y, width, 3, stride));
      y = layer(3, y, channels, 1, 1);
    } else {
      y = relu(1, layer(1, x, width, 3, stride));
      y = layer(2, y, width, 3, 1);
    }
    y = b_.add(name + "/add", y, shortcut(name, x, channels, stride));
    return relu(plan_.bottleneck ? 3 : 2, y);
  }

  Graph& graph_;
  const ResnetPlan& plan_;
  const ModelOptions& options_;
  ModelBuilder b_;
  bool option_a_;
};

BuiltModel build_resnet(Graph& graph, ValueId image, const ModelOptions& options, const ResnetPlan& plan) {
  if (options.stem != "auto" && options.stem != "imagenet" && options.stem != "cifar")
    fail<ConfigError>("model.stem = '{}': residual networks know auto, imagenet and cifar", options.stem);
  if (options.shortcut != "auto" && options.shortcut != "a" && options.shortcut != "b")
    fail<ConfigError>("model.shortcut = '{}': residual networks know auto, a and b", options.shortcut);
  if (options.classes < 2) fail<ConfigError>("a classifier needs at least 2 classes, got {}", options.classes);
  return ResnetBuilder(graph, plan, options).build(image);
}

}  // namespace

BuiltModel build_resnet18(Graph& graph, ValueId image, const ModelOptions& options) {
  return build_resnet(graph, image, options, {{2, 2, 2, 2}, 64, false, "imagenet", "b"});
}

BuiltModel build_resnet20(Graph& graph, ValueId image, const ModelOptions& options) {
  return build_resnet(graph, image, options, {{3, 3, 3}, 16, false, "cifar", "a"});
}

BuiltModel build_resnet50(Graph& graph, ValueId image, const ModelOptions& options) {
  return build_resnet(graph, image, options, {{3, 4, 6, 3}, 64, true, "imagenet", "b"});
}

}  // namespace gridstep
