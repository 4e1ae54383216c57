// AutoAugment (Cubuk et al., CVPR 2019, arXiv 1805.09501): every image of a batch gets one sub-policy, drawn evenly; of
// its two operations each is applied with its own probability, one after the other.
//   x: u8 (N, S, S, 3)     y: u8, the same shape     S at most kMaxAugmentSide; no gradient
//
// Sample i of the batch is sample k = first_sample + i of its epoch. With v = philox({seed, Purpose::kAutoAugment,
// epoch}, k): the sub-policy is uniform_below(v[0], count); operation i is applied where uniform01(v[1 + i]) is below
// its probability; its magnitude is positive where the top bit (i = 0) or the one below (i = 1) of v[3] is set.
//
// Magnitudes 0 to 9 are those of torchvision's AutoAugment (torch.linspace, in floats), the operations Pillow's, byte
// for byte:
//   shear x, y      0 to 0.3: x + m y, or y + m x; translate x, y: 0 to 150/331 of the side, whole pixels; rotate: 0 to
//                   30 degrees about the centre. Nearest pixel in steps of 2^-16, black beyond the image
//   color, contrast, brightness, sharpness
//                   0 to 0.9: d + (1 + m) (x - d) in floats, cut to 0..255 and rounded down; d is the pixel's gray, the
//                   rounded mean of grays, black, or the image smoothed by 3 x 3 (weight 5 in the middle, 1 around; the
//                   border as it is)
//   posterize       8 to 4 bits stay; solarize: codes from 255 down to 0 on are inverted
//   auto_contrast   each colour stretched to 0..255; equalize: each colour's histogram made even; invert
// Same bits on every device: integers, and floats rounded at every operation.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

enum class AugmentKind : std::int32_t {
  kNone,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kRotate,
  kColor,
  kContrast,
  kBrightness,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutoContrast,
  kEqualize,
  kInvert
};

struct AugmentChoice {
  AugmentKind kind = AugmentKind::kNone;
  float probability = 0.0f;
  int magnitude = 0;  // 0 to 9; of no meaning for the last three kinds
};
using SubPolicy = std::array<AugmentChoice, 2>;

constexpr int kMaxSubPolicies = 25;
constexpr int kMaxAugmentSide = 86;  // two images and the tables of one lie in 48 KiB of shared memory

struct AutoAugmentAttrs {
  std::vector<SubPolicy> policy;  // 1 to kMaxSubPolicies
};

ValueId auto_augment(Graph& graph, std::string name, ValueId x, AutoAugmentAttrs attrs);

const OpDef& auto_augment_op();

void record_auto_augment_cpu(Recorder& recorder, const BoundNode& node);
void record_auto_augment_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
