// Generated pictures with the statistics that matter for super-resolution: sharp edges, all sizes, shading, fine
// texture.
//
// Dead-leaves model (Matheron 1968; Lee, Mumford, Huang, IJCV 2001): opaque shapes fall on one another until the plane
// is covered. Radii follow the density r^-3, which makes the picture statistically scale-invariant as photos are.
// Shapes are disks, ellipses and rectangles in any direction; each has a colour near its neighbours in hue, a linear
// shading and, one in three, stripes. Rendered at twice the size and averaged 2 x 2, so that edges are antialiased as a
// lens does.
//
// Integer arithmetic only, and Philox keyed by (seed, Purpose::kSynthetic, image_id): the same bits on every machine.
#pragma once

#include <cstdint>

#include "data/image.h"

namespace gridstep {

// (height, width, 3). Sides from 1 to 4096. Throws ConfigError outside.
Image dead_leaves(int height, int width, std::uint64_t seed, std::uint32_t image_id);

// The validation pictures that belong to `train_images` training pictures: a fifth, at least 2.
int synthetic_val_images(int train_images);

// Image ids of the validation split begin here, those of the training split at 0.
inline constexpr std::uint32_t kSyntheticValFirstId = 1u << 24;

// Part of every key of generated data: raised whenever dead_leaves() changes a bit.
inline constexpr std::uint32_t kSyntheticVersion = 1;

}  // namespace gridstep
