// The draw of a sample and the pixels of an operation, shared by both devices.
#pragma once

#include "engine/base/hd.h"
#include "engine/base/philox.h"
#include "kernels/auto_augment/augment_plan.h"

namespace gridstep {

struct AugmentDraw {
  std::uint32_t sub_policy;
  bool applied[2];
  bool positive[2];
};

GS_HD AugmentDraw draw_augment(const AugmentPlan& plan, const StepParams& params, Index sample) {
  const std::uint32_t k = params.first_sample + static_cast<std::uint32_t>(sample);
  const Philox4 word = philox({params.seed, Purpose::kAutoAugment, params.epoch}, k);
  AugmentDraw draw{};
  draw.sub_policy = uniform_below(word.v[0], plan.count);
  for (int i = 0; i < 2; ++i) {
    const AugmentOption& option = plan.options[draw.sub_policy][i];
    draw.applied[i] = option.kind != AugmentKind::kNone && uniform01(word.v[1 + i]) < option.probability;
    draw.positive[i] = (word.v[3] >> (31 - i) & 1) != 0;
  }
  return draw;
}

GS_HD bool counts_codes(AugmentKind kind) {
  return kind == AugmentKind::kAutoContrast || kind == AugmentKind::kEqualize;
}
// Each code of a colour becomes another, whatever lies around it.
GS_HD bool maps_codes(AugmentKind kind) {
  return kind == AugmentKind::kContrast || kind == AugmentKind::kBrightness || kind >= AugmentKind::kPosterize;
}

// Luma of BT.601 in 16 bits, rounded.
GS_HD std::uint32_t gray_of(const std::uint8_t* pixel) {
  return (pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16;
}

GS_HD int rounded_mean(std::uint32_t sum, int side) {
  const auto n = static_cast<std::uint32_t>(side * side);
  return static_cast<int>((2 * sum + n) / (2 * n));
}

GS_HD std::uint8_t blended(int from, int to, float factor) {
  const float v = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(v <= 0.0f ? 0 : (v >= 255.0f ? 255 : static_cast<int>(v)));
}

// Of one colour: the codes there are, and how many pixels equalising gives each new code.
struct CodeCounts {
  int lowest, highest;
  std::uint32_t share;
};

// Turns `bins`, how many pixels have each code, into how many lie below it.
GS_HD CodeCounts summed_counts(std::uint32_t* bins) {
  CodeCounts counts{0, 0, 0};
  std::uint32_t below = 0, last = 0;
  for (int code = 0; code < 256; ++code) {
    const std::uint32_t n = bins[code];
    if (n > 0) {
      if (below == 0) counts.lowest = code;
      counts.highest = code;
      last = n;
    }
    bins[code] = below;
    below += n;
  }
  counts.share = (below - last) / 255;
  return counts;
}

GS_HD std::uint8_t stretched(int code, const CodeCounts& counts) {
  if (counts.highest <= counts.lowest) return static_cast<std::uint8_t>(code);
  // In doubles, as Python computes it: an exact quotient would be another at whole numbers.
  const double scale = 255.0 / static_cast<double>(counts.highest - counts.lowest);
  const int v = static_cast<int>(static_cast<double>(code) * scale + static_cast<double>(-counts.lowest) * scale);
  return static_cast<std::uint8_t>(v < 0 ? 0 : (v > 255 ? 255 : v));
}

GS_HD std::uint8_t equalized(int code, std::uint32_t below, const CodeCounts& counts) {
  if (counts.share == 0) return static_cast<std::uint8_t>(code);
  const std::uint32_t v = (counts.share / 2 + below) / counts.share;
  return static_cast<std::uint8_t>(v > 255 ? 255 : v);
}

// What a code of one colour becomes. `below` and `counts` as counts_codes(kind) asks for them, `mean` for contrast.
GS_HD std::uint8_t mapped(AugmentKind kind, const AugmentStep& step, int code, std::uint32_t below,
                          const CodeCounts& counts, int mean) {
  switch (kind) {
    case AugmentKind::kContrast:
      return blended(mean, code, step.factor);
    case AugmentKind::kBrightness:
      return blended(0, code, step.factor);
    case AugmentKind::kPosterize:
      return static_cast<std::uint8_t>(code & step.level);
    case AugmentKind::kSolarize:
      return static_cast<std::uint8_t>(code < step.level ? code : 255 - code);
    case AugmentKind::kAutoContrast:
      return stretched(code, counts);
    case AugmentKind::kEqualize:
      return equalized(code, below, counts);
    default:
      return static_cast<std::uint8_t>(255 - code);  // invert
  }
}

GS_HD void sharpen(const AugmentStep& step, const std::uint8_t* from, int y, int x, int side, std::uint8_t* to) {
  const int first = (y * side + x) * 3;
  const std::uint8_t* const at = from + first;
  const bool border = y == 0 || x == 0 || y == side - 1 || x == side - 1;
  for (int c = 0; c < 3; ++c) {
    int smooth = at[c];
    if (!border) {
      int sum = 4 * at[c];
      for (int i = -1; i <= 1; ++i) {
        for (int j = -1; j <= 1; ++j) sum += at[(i * side + j) * 3 + c];
      }
      smooth = (2 * sum + 13) / 26;  // of weights that sum up to 13, rounded
    }
    to[c] = blended(smooth, at[c], step.factor);
  }
}

// Output pixel (y, x) of an operation; `map`: the new codes of each colour, where maps_codes(kind).
GS_HD void write_augmented(AugmentKind kind, const AugmentStep& step, const std::uint8_t (*map)[256],
                           const std::uint8_t* from, int y, int x, int side, std::uint8_t* to) {
  const int first = (y * side + x) * 3;
  const std::uint8_t* const at = from + first;
  if (maps_codes(kind)) {
    for (int c = 0; c < 3; ++c) to[c] = map[c][at[c]];
  } else if (kind == AugmentKind::kColor) {
    const int gray = static_cast<int>(gray_of(at));
    for (int c = 0; c < 3; ++c) to[c] = blended(gray, at[c], step.factor);
  } else if (kind == AugmentKind::kSharpness) {
    sharpen(step, from, y, x, side, to);
  } else {
    const int row = (step.y0 + step.yy * y + step.yx * x) >> 16, column = (step.x0 + step.xy * y + step.xx * x) >> 16;
    const bool inside = row >= 0 && row < side && column >= 0 && column < side;
    for (int c = 0; c < 3; ++c) to[c] = inside ? from[(row * side + column) * 3 + c] : std::uint8_t{0};
  }
}

}  // namespace gridstep
