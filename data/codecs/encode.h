// Pictures to PNG files.
#pragma once

#include <string>

#include "data/image.h"
#include "engine/base/file.h"

namespace gridstep {

// 8-bit gray (1 channel), RGB (3) or RGBA (4), not interlaced, no times or texts: the same picture gives the same bytes
// with the same zlib. Throws Error for other channel counts or an empty picture.
std::string encode_png(ImageView image);

// Written atomically.
void write_png(const fs::path& path, ImageView image);

}  // namespace gridstep
