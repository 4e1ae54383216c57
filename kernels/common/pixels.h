// 8-bit pixels and their real values: code * (1/255). The image is a quantized tensor with a fixed step.
#pragma once

#include <cstdint>

#include "engine/base/hd.h"
#include "engine/base/strict_math.h"

namespace gridstep {

constexpr float kPixelStep = 1.0f / 255.0f;

GS_HD float pixel_value(std::uint8_t code) { return static_cast<float>(code) * kPixelStep; }

// Nearest code of a real value clamped to [0, 1], ties to even, as a float; NaN stays NaN.
GS_HD float nearest_pixel(float value) { return strict::round_even(255.0f * strict::clamp(value, 0.0f, 1.0f)); }

}  // namespace gridstep
