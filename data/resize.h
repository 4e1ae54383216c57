// Photos of any size to squares of one size, as the usual pipelines of classification do it.
//
// Bilinear with antialiasing: output x of an axis sits at u = (x + 1/2) s of the source, s = source / output; tap i
// weighs max(0, 1 - |(i + 1/2 - u) / max(s, 1)|), normalised to sum 1, rounded to 2^-22. The horizontal pass comes
// first; its result is rounded (half up) to 8 bits, then the vertical pass, likewise. These are the bits of Pillow's
// Image.resize(..., BILINEAR), on which torchvision's transforms of PIL images rest. Weights are computed in double
// precision and rounded, sums are exact integers: the same bits everywhere.
#pragma once

#include "data/image.h"

namespace gridstep {

// (H, W, C) -> (height, width, C); all sides positive.
Image resize_bilinear(ImageView image, int height, int width);

// The shorter side becomes `side` (the longer one keeps the proportion, rounded down), then the square in the middle.
Image resize_to_square(ImageView image, int side);

}  // namespace gridstep
