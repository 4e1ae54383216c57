// Mean and standard deviation of each colour, by which pixels are normalised: by name, or as numbers
// "r,g,b/r,g,b" (means, then deviations) of pixels in [0, 1].
//   imagenet   of the training images of ImageNet, as torchvision's and timm's weights want them
//   cifar10    of the training images of CIFAR-10
#pragma once

#include <string_view>

namespace gridstep {

struct Normalization {
  float mean[3] = {0.0f, 0.0f, 0.0f};
  float deviation[3] = {1.0f, 1.0f, 1.0f};

  bool operator==(const Normalization&) const = default;
};

// Throws ConfigError that says what is wrong. "none" is no normalisation: means of 0 and deviations of 1.
Normalization parse_normalization(std::string_view text);

}  // namespace gridstep
