// The draw of a sample, shared by both devices.
#pragma once

#include <cmath>

#include "engine/base/hd.h"
#include "engine/base/philox.h"
#include "engine/base/strict_math.h"
#include "kernels/image_batch/image_batch.h"

namespace gridstep {

// Bits of each half of the Feistel network over at least n values.
GS_HD std::uint32_t half_bits(std::uint32_t n) {
  std::uint32_t bits = 0;
  while (bits < 16 && (std::uint64_t{1} << (2 * bits)) < n) ++bits;
  return bits;
}

// Where sample k < n of the epoch's permutation of [0, n) goes.
GS_HD std::uint32_t permuted(std::uint32_t k, std::uint32_t n, const PhiloxKey& key) {
  const std::uint32_t bits = half_bits(n), mask = (1u << bits) - 1;
  std::uint32_t at = k;
  do {
    std::uint32_t left = at >> bits, right = at & mask;
    for (std::uint32_t round = 0; round < 4; ++round) {
      const std::uint32_t mixed = philox(key, (std::uint64_t{round} << 32) | right).v[0] & mask;
      const std::uint32_t next = left ^ mixed;
      left = right;
      right = next;
    }
    at = (left << bits) | right;
  } while (at >= n);
  return at;
}

// A rectangle of the image, in pixels.
struct CropBox {
  int row, column, height, width;
};

// torchvision's RandomResizedCrop: ten attempts, then the largest box in the middle whose ratio is allowed, which is
// the whole of a square image.
GS_HD CropBox draw_box(float least_area, int side, const PhiloxKey& key, std::uint32_t k) {
  constexpr float kLogRatio = 0.28768207f;  // ln 4/3
  const auto whole = static_cast<float>(side) * static_cast<float>(side);
  for (std::uint32_t attempt = 1; attempt <= 10; ++attempt) {
    const Philox4 word = philox(key, std::uint64_t{attempt} << 32 | k);
    const float area = whole * (least_area + (1.0f - least_area) * uniform01(word.v[0]));
    const float ratio = strict::exp(kLogRatio * (2.0f * uniform01(word.v[1]) - 1.0f));
    const int width = static_cast<int>(strict::round_even(sqrtf(area * ratio)));
    const int height = static_cast<int>(strict::round_even(sqrtf(area / ratio)));
    if (width < 1 || height < 1 || width > side || height > side) continue;
    return {static_cast<int>(uniform_below(word.v[2], static_cast<std::uint32_t>(side - height + 1))),
            static_cast<int>(uniform_below(word.v[3], static_cast<std::uint32_t>(side - width + 1))), height, width};
  }
  return {0, 0, side, side};
}

// One axis of a bilinear resize of `from` pixels to `to`: the two neighbours of output pixel `at`, and the weight of
// the second, of 2048.
struct Neighbours {
  int first, second, weight;
};
GS_HD Neighbours neighbours(int at, int from, int to) {
  // (at + 1/2) from / to - 1/2 in steps of 2^-16, rounded down.
  const std::int64_t place = ((2 * std::int64_t{at} + 1) * from * 32768) / to - 32768;
  const std::int64_t inside = place < 0 ? 0 : place;
  const int first = static_cast<int>(inside >> 16);
  if (first >= from - 1) return {from - 1, from - 1, 0};
  return {first, first + 1, static_cast<int>(inside >> 5 & 2047)};
}

struct ImageDraw {
  std::uint32_t image;
  int row, column;  // top left corner of the crop in the image, negative in the frame
  bool mirror, resized;
  CropBox box;  // of a resized crop

  // Output pixel (y, x) of an image.
  GS_HD void write(const std::uint8_t* pixels, int y, int x, int crop, int side, std::uint8_t* to) const {
    if (resized) {
      blend(pixels, y, x, crop, side, to);
      return;
    }
    const int at = source(y, x, crop, side);
    for (int c = 0; c < 3; ++c) to[c] = at < 0 ? std::uint8_t{0} : pixels[at + c];
  }

  GS_HD void blend(const std::uint8_t* pixels, int y, int x, int crop, int side, std::uint8_t* to) const {
    const Neighbours v = neighbours(y, box.height, crop), h = neighbours(mirror ? crop - 1 - x : x, box.width, crop);
    const int above_at = ((box.row + v.first) * side + box.column) * 3;
    const int below_at = ((box.row + v.second) * side + box.column) * 3;
    const std::uint8_t *const top = pixels + above_at, *const bottom = pixels + below_at;
    for (int c = 0; c < 3; ++c) {
      const int left = 3 * h.first + c, right = 3 * h.second + c;
      const int above = top[left] * (2048 - h.weight) + top[right] * h.weight;
      const int below = bottom[left] * (2048 - h.weight) + bottom[right] * h.weight;
      to[c] = static_cast<std::uint8_t>((above * (2048 - v.weight) + below * v.weight + (1 << 21)) >> 22);
    }
  }

  // Byte offset in the image of output pixel (y, x); -1 in the black frame.
  GS_HD int source(int y, int x, int crop, int side) const {
    const int from_y = row + y, from_x = column + (mirror ? crop - 1 - x : x);
    const bool inside = from_y >= 0 && from_y < side && from_x >= 0 && from_x < side;
    return inside ? (from_y * side + from_x) * 3 : -1;
  }
};

GS_HD ImageDraw draw_image(const ImageBatchAttrs& attrs, const StepParams& params, Index sample) {
  const std::uint32_t k = params.first_sample + static_cast<std::uint32_t>(sample);
  const PhiloxKey key{params.seed, Purpose::kAugment, params.epoch};
  const Philox4 word = philox(key, k);
  const auto places = static_cast<std::uint32_t>(attrs.table.side + 2 * attrs.pad - attrs.crop + 1);
  ImageDraw draw{};
  // A batch larger than the data begins the order anew.
  draw.image = permuted(k % attrs.table.count, attrs.table.count, {params.seed, Purpose::kPermutation, params.epoch});
  draw.row = static_cast<int>(uniform_below(word.v[0], places)) - attrs.pad;
  draw.column = static_cast<int>(uniform_below(word.v[1], places)) - attrs.pad;
  draw.mirror = attrs.mirror && (word.v[2] >> 31) != 0;
  draw.resized = attrs.least_area < 1.0f;
  if (draw.resized) draw.box = draw_box(attrs.least_area, attrs.table.side, key, k);
  return draw;
}

}  // namespace gridstep
