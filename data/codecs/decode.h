// PNG and JPEG files to 8-bit pictures. The kind is told by content, never by name.
//
// PNG: every colour type, depth and interlacing. 16 bits become 8 by round(v / 257); palettes become RGB; fewer than 8
// bits
//   are spread over 0..255. Stored values are taken as they are: gamma, profiles and an eXIf chunk are not applied.
// JPEG: baseline, extended and progressive, Huffman and arithmetic, 8 bits; gray, YCbCr, RGB, CMYK and YCCK (taken as
//   inverted, as Adobe writes them: R = C*K/255). The EXIF orientation is applied.
// Alpha is composited over white in stored values: (v*a + 255*(255-a)) / 255, rounded. Opaque pixels are unchanged.
// A file that is truncated or damaged, or of which the decoder so much as warns about the image data, is refused.
// The size is read from the header and checked before anything is allocated for it; decoding a picture of P pixels
// takes at most about 14 P bytes (a progressive CMYK JPEG), P <= max_pixels. Errors: DataError; the file functions name
// the file, the byte functions only the fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "data/image.h"
#include "engine/base/file.h"

namespace gridstep {

inline constexpr std::int64_t kDefaultMaxPixels = 100'000'000;

struct DecodeOptions {
  std::int64_t max_pixels = kDefaultMaxPixels;
  int channels = 3;  // 3: RGB, gray is repeated; 0: as stored without alpha, 1 (gray) or 3
};

enum class ImageFormat : std::uint8_t { kPng, kJpeg };

// What a header says. Sides are as delivered, after the EXIF orientation.
struct ImageInfo {
  ImageFormat format = ImageFormat::kPng;
  int height = 0;
  int width = 0;
  int channels = 3;     // delivered with DecodeOptions::channels = 0
  bool alpha = false;   // an alpha channel is stored (palette and colour-key transparency not counted)
  int orientation = 1;  // EXIF, 1..8

  std::int64_t pixels() const { return static_cast<std::int64_t>(height) * width; }
};

ImageInfo probe_image(const fs::path& path);
ImageInfo probe_image_bytes(std::span<const std::byte> file);

Image decode_image(const fs::path& path, const DecodeOptions& options = {});
Image decode_image_bytes(std::span<const std::byte> file, const DecodeOptions& options = {});

// A name that says it is a picture, whether or not of a kind that can be decoded (.png, .jpg, .gif, ...; any case).
// Hidden files are none.
bool looks_like_image(const fs::path& path);

// A read-only map of a regular file; DataError (naming the fault only) for anything else or one that cannot be read.
MappedFile map_source_file(const fs::path& path);

}  // namespace gridstep
