// The draw of a sample, shared by both devices.
#pragma once

#include "engine/base/hd.h"
#include "engine/base/philox.h"
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

struct ImageDraw {
  std::uint32_t image;
  int row, column;  // top left corner of the crop in the image, negative in the frame
  bool mirror;

  // Byte offset in the image of output pixel (y, x); -1 in the black frame.
  GS_HD int source(int y, int x, int crop, int side) const {
    const int from_y = row + y, from_x = column + (mirror ? crop - 1 - x : x);
    const bool inside = from_y >= 0 && from_y < side && from_x >= 0 && from_x < side;
    return inside ? (from_y * side + from_x) * 3 : -1;
  }
};

GS_HD ImageDraw draw_image(const ImageBatchAttrs& attrs, const StepParams& params, Index sample) {
  const std::uint32_t k = params.first_sample + static_cast<std::uint32_t>(sample);
  const Philox4 word = philox({params.seed, Purpose::kAugment, params.epoch}, k);
  const auto places = static_cast<std::uint32_t>(attrs.table.side + 2 * attrs.pad - attrs.crop + 1);
  ImageDraw draw{};
  // A batch larger than the data begins the order anew.
  draw.image = permuted(k % attrs.table.count, attrs.table.count, {params.seed, Purpose::kPermutation, params.epoch});
  draw.row = static_cast<int>(uniform_below(word.v[0], places)) - attrs.pad;
  draw.column = static_cast<int>(uniform_below(word.v[1], places)) - attrs.pad;
  draw.mirror = attrs.mirror && (word.v[2] >> 31) != 0;
  return draw;
}

}  // namespace gridstep
