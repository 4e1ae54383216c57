// The policy that AutoAugment's search found on CIFAR-10 (arXiv 1805.09501, appendix).
#pragma once

#include "kernels/auto_augment/auto_augment.h"

namespace gridstep {

inline std::vector<SubPolicy> cifar10_policy() {
  using enum AugmentKind;
  return {
      {{{kInvert, 0.1f, 0}, {kContrast, 0.2f, 6}}},         {{{kRotate, 0.7f, 2}, {kTranslateX, 0.3f, 9}}},
      {{{kSharpness, 0.8f, 1}, {kSharpness, 0.9f, 3}}},     {{{kShearY, 0.5f, 8}, {kTranslateY, 0.7f, 9}}},
      {{{kAutoContrast, 0.5f, 0}, {kEqualize, 0.9f, 0}}},   {{{kShearY, 0.2f, 7}, {kPosterize, 0.3f, 7}}},
      {{{kColor, 0.4f, 3}, {kBrightness, 0.6f, 7}}},        {{{kSharpness, 0.3f, 9}, {kBrightness, 0.7f, 9}}},
      {{{kEqualize, 0.6f, 0}, {kEqualize, 0.5f, 0}}},       {{{kContrast, 0.6f, 7}, {kSharpness, 0.6f, 5}}},
      {{{kColor, 0.7f, 7}, {kTranslateX, 0.5f, 8}}},        {{{kEqualize, 0.3f, 0}, {kAutoContrast, 0.4f, 0}}},
      {{{kTranslateY, 0.4f, 3}, {kSharpness, 0.2f, 6}}},    {{{kBrightness, 0.9f, 6}, {kColor, 0.2f, 8}}},
      {{{kSolarize, 0.5f, 2}, {kInvert, 0.0f, 0}}},         {{{kEqualize, 0.2f, 0}, {kAutoContrast, 0.6f, 0}}},
      {{{kEqualize, 0.2f, 0}, {kEqualize, 0.6f, 0}}},       {{{kColor, 0.9f, 9}, {kEqualize, 0.6f, 0}}},
      {{{kAutoContrast, 0.8f, 0}, {kSolarize, 0.2f, 8}}},   {{{kBrightness, 0.1f, 3}, {kColor, 0.7f, 0}}},
      {{{kSolarize, 0.4f, 5}, {kAutoContrast, 0.9f, 0}}},   {{{kTranslateY, 0.9f, 9}, {kTranslateY, 0.7f, 9}}},
      {{{kAutoContrast, 0.9f, 0}, {kSolarize, 0.8f, 3}}},   {{{kEqualize, 0.8f, 0}, {kInvert, 0.1f, 0}}},
      {{{kTranslateY, 0.7f, 9}, {kAutoContrast, 0.9f, 0}}},
  };
}

}  // namespace gridstep
