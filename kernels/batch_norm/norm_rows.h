// How the CPU walks an image of C channels: blocks of pixels for sums, rows of neighbouring values for the rest.
#pragma once

#include <algorithm>

#include "engine/graph/op.h"
#include "kernels/batch_norm/norm_math.h"

namespace gridstep {

constexpr Index kNormRow = 512;  // values of a row at most: with what belongs to its channels they fit the first cache
constexpr Index kNormColumns = 8;  // channels summed up together

struct NormExtent {
  Index pixels, channels;

  explicit NormExtent(const Tensor& x) : pixels(x.elements() / x.shape[3]), channels(x.shape[3]) {}
  Index blocks() const { return norm_blocks(pixels); }
  Index pixels_of(Index block) const { return std::min(kNormBlock, pixels - block * kNormBlock); }
};

// Parts of the pixels: rows of several pixels where these have few channels, of a part of a pixel where they have many.
// The channels are c0 ... c0 + channels - 1, `repeats` times one after the other.
struct NormRows {
  const NormExtent& extent;
  Recorder::Range pixels;
  Index c0, channels, repeats;

  // f(i, c): value i of a row belongs to channel c.
  template <class F>
  void fill(F f) const {
    for (Index i = 0; i < channels * repeats; ++i) f(i, c0 + i % channels);
  }
  // f(at, n): n values from element `at` on.
  template <class F>
  void run(F f) const {
    for (Index p = pixels.begin; p < pixels.end; p += repeats) {
      f(p * extent.channels + c0, std::min(repeats, pixels.end - p) * channels);
    }
  }
};

// f for at most `most` channels after the other.
template <class F>
void for_each_norm_slab(const NormExtent& e, Recorder::Range pixels, Index most, F f) {
  for (Index c0 = 0; c0 < e.channels; c0 += most) {
    const Index channels = std::min(most, e.channels - c0);
    f(NormRows{e, pixels, c0, channels, channels == e.channels ? kNormRow / channels : 1});
  }
}

// Tasks over channels, kNormColumns at a time.
inline int norm_column_tasks(const NormExtent& e) {
  return Recorder::chunks((e.channels + kNormColumns - 1) / kNormColumns);
}
inline Recorder::Range norm_columns_of(const NormExtent& e, int tasks, int task) {
  const auto groups = Recorder::part((e.channels + kNormColumns - 1) / kNormColumns, tasks, task);
  return {groups.begin * kNormColumns, std::min(e.channels, groups.end * kNormColumns)};
}

// Sums over all blocks of `width` neighbouring channels, in the order of norm_math.h.
template <class Sum>
void add_blocks(const Sum* blocks, const NormExtent& e, Index width, Sum* totals) {
  Sum lanes[kWarp][kNormColumns] = {};
  for (Index b = 0; b < e.blocks(); ++b) {
    for (Index c = 0; c < width; ++c) lanes[b % kWarp][c] += blocks[b * e.channels + c];
  }
  for (int half = kWarp / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) {
      for (Index c = 0; c < width; ++c) lanes[l][c] += lanes[l + half][c];
    }
  }
  for (Index c = 0; c < width; ++c) totals[c] = lanes[0][c];
}

}  // namespace gridstep
