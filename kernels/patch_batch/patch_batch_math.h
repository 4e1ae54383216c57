// The draw of a sample and the gather's addresses, shared by both devices.
#pragma once

#include "engine/base/hd.h"
#include "engine/base/philox.h"
#include "kernels/patch_batch/patch_batch.h"

namespace gridstep {

enum Orientation : std::uint32_t { kMirrorColumns = 1, kMirrorRows = 2, kTranspose = 4 };

// Where output pixel (0, 0) of a patch lies, and how far the next pixel and the next row are, in bytes. All eight
// orientations are such a walk.
struct PatchWalk {
  const std::uint8_t* origin;
  Index column_stride, row_stride;
};

struct PatchDraw {
  PhotoEntry photo;
  Index row, column;  // top left corner in the LR photo
  std::uint32_t orientation;

  // `size` pixels each way from the photo of width `scale * photo.width` at `offset`.
  GS_HD PatchWalk walk(const std::uint8_t* pixels, std::uint64_t offset, int scale, int size) const {
    const Index row_bytes = Index{3} * scale * photo.width, last = size - 1;
    const std::uint8_t* origin = pixels + offset + row * scale * row_bytes + column * scale * 3;
    Index down = row_bytes, right = 3;
    if ((orientation & kMirrorRows) != 0) {
      origin += last * down;
      down = -down;
    }
    if ((orientation & kMirrorColumns) != 0) {
      origin += last * right;
      right = -right;
    }
    return (orientation & kTranspose) != 0 ? PatchWalk{origin, down, right} : PatchWalk{origin, right, down};
  }
};

// Index of the first photo whose cumulative area exceeds `area`.
GS_HD std::int32_t photo_of_area(const PhotoTable& table, std::uint64_t area) {
  std::int32_t low = 0, high = table.count - 1;
  while (low < high) {
    const std::int32_t middle = low + (high - low) / 2;
    if (table.cumulative_area[middle] > area) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

GS_HD PatchDraw draw_patch(const PhotoTable& table, const StepParams& params, Index sample, int patch) {
  const PhiloxKey key{params.seed, Purpose::kSample, params.epoch};
  const Philox4 word =
      philox(key, static_cast<std::uint64_t>(params.first_sample) + static_cast<std::uint64_t>(sample));
  PatchDraw draw{};
  draw.photo = table.photos[photo_of_area(table, uniform_below64(word.v[0], word.v[1], table.total_area))];
  const int spare_rows = draw.photo.height - patch, spare_columns = draw.photo.width - patch;
  const auto rows = static_cast<std::uint64_t>(spare_rows) + 1, columns = static_cast<std::uint64_t>(spare_columns) + 1;
  const std::uint64_t choice = uniform_below64(word.v[2], word.v[3], 8 * rows * columns);
  draw.orientation = static_cast<std::uint32_t>(choice % 8);
  draw.row = static_cast<Index>(choice / 8 / columns);
  draw.column = static_cast<Index>(choice / 8 % columns);
  return draw;
}

}  // namespace gridstep
