// Bicubic resampling by an integer factor, as MATLAB's imresize(uint8 image, ..., 'bicubic') does it.
//
//   Kernel (Keys 1981, a = -1/2):  k(t) = 3/2|t|^3 - 5/2|t|^2 + 1          |t| <= 1
//                                  k(t) = -1/2|t|^3 + 5/2|t|^2 - 4|t| + 2  1 < |t| < 2
//   Reduction by s: sample y of an axis sits at u = s*y + (s-1)/2 of the source; tap i weighs k((u-i)/s) / s (4s taps).
//   Enlargement by s: u = (y + 1/2)/s - 1/2; tap i weighs k(u-i) (4 taps, no antialiasing).
// The vertical pass comes first; its result is rounded (half up) and clamped to 8 bits, then the horizontal pass,
// likewise. The border rule says what lies outside: the mirrored image with its edge sample repeated (current MATLAB;
// DIV2K), or the edge sample (older MATLAB; the SelfExSR benchmark pairs).
//
// All weights are ratios of small integers, so the sums are exact integers and the results the same bits everywhere.
#pragma once

#include <string_view>

#include "data/image.h"

namespace gridstep {

enum class Border : std::uint8_t { kMirror, kReplicate };

std::string_view border_name(Border border);  // "mirror", "replicate"
Border parse_border(std::string_view name);   // throws ConfigError

inline constexpr int kMaxResampleScale = 8;  // 255 times the sum of the integer weights stays within 32 bits

// The top left part whose sides are the largest multiples of `multiple` (possibly 0 x 0).
Image crop_to_multiple(ImageView image, int multiple);

// (H, W, C) -> (floor(H/s), floor(W/s), C); the source is cropped to a multiple of s first. 1 <= s <=
// kMaxResampleScale. Throws ConfigError for another scale and DataError when a side is shorter than s.
Image bicubic_reduce(ImageView image, int scale, Border border = Border::kMirror);

// (H, W, C) -> (H*s, W*s, C).
Image bicubic_enlarge(ImageView image, int scale, Border border = Border::kMirror);

}  // namespace gridstep
