// What decoding promises of a picture that it accepts.
#pragma once

#include "data/codecs/decode.h"
#include "engine/base/error.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {

constexpr std::int64_t kMostPixels = 1 << 16;  // keeps an execution short; a claim of more must be refused

inline bool is_repeated(const Image& gray, const Image& rgb) {
  for (std::size_t i = 0; i < gray.pixels.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      if (rgb.pixels[3 * i + c] != gray.pixels[i]) return false;
    }
  }
  return true;
}

inline void check_decoding(Input file) {
  accepts<DataError>([&] {
    const Image stored = decode_image_bytes(file, {kMostPixels, 0});
    const ImageInfo info = probe_image_bytes(file);
    require(info.height == stored.height && info.width == stored.width && info.channels == stored.channels,
            "a picture is what its header says");
    require(info.pixels() <= kMostPixels, "a picture of too many pixels is refused");
    require(stored.pixels.size() == stored.view().size_bytes(), "a picture has all its pixels");
    // Decoded a second time: memory that nothing wrote would differ.
    const Image rgb = decode_image_bytes(file, {kMostPixels, 3});
    require(rgb.channels == 3 && rgb.height == stored.height && rgb.width == stored.width, "RGB has 3 channels");
    require(stored.channels == 1 ? is_repeated(stored, rgb) : stored.pixels == rgb.pixels,
            "the same file gives the same pixels");
  });
}

}  // namespace gridstep::fuzz
