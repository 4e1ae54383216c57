// What one codec offers to the dispatcher in decode.cpp. Byte counts and faults as in decode.h.
#pragma once

#include "data/codecs/decode.h"

namespace gridstep::detail {

ImageInfo probe_png(std::span<const std::byte> file);
ImageInfo probe_jpeg(std::span<const std::byte> file);

// Decode to info.channels channels; info comes from the probe and its size has been accepted.
Image decode_png(std::span<const std::byte> file, const ImageInfo& info);
Image decode_jpeg(std::span<const std::byte> file, const ImageInfo& info);

inline unsigned byte_at(std::span<const std::byte> bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }

// round(product / 255) for 0 <= product <= 255 * 255
inline std::uint8_t divide_by_255(int product) { return static_cast<std::uint8_t>((product + 127) / 255); }

}  // namespace gridstep::detail
