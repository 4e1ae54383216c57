// Pictures and files for the tests of data/.
#pragma once

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"
#include "engine/base/file.h"
#include "engine/base/philox.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace gridstep::test {

inline void write_bytes(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  write_file_atomic(path, bytes);
}

inline std::span<const std::byte> as_bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

inline Image noise_image(int height, int width, int channels, std::uint64_t seed = 0) {
  Image image(height, width, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>(philox({seed, Purpose::kTest, 0}, i).v[0]);
  return image;
}

// Smooth enough for JPEG to keep within a few levels.
inline Image gradient_image(int height, int width, int channels) {
  Image image(height, width, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] = static_cast<std::uint8_t>(40 + (c == 0   ? 160 * x / width
                                                                         : c == 1 ? 160 * y / height
                                                                                  : 80 * (x + y) / (width + height)));
  return image;
}

struct PngSpec {
  int height = 0, width = 0;
  int colour_type = PNG_COLOR_TYPE_GRAY;
  int depth = 8;
  bool interlaced = false;
  std::vector<png_color> palette;
  std::vector<png_byte> palette_alpha;
  int transparent_gray = -1;
};

// A PNG of any kind from packed rows as PNG stores them (16 bits big-endian).
inline std::string raw_png(const PngSpec& spec, std::vector<std::uint8_t> rows) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp p, png_bytep data, png_size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), n);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(spec.width), static_cast<png_uint_32>(spec.height), spec.depth,
               spec.colour_type, spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!spec.palette.empty()) png_set_PLTE(png, info, spec.palette.data(), static_cast<int>(spec.palette.size()));
  if (!spec.palette_alpha.empty())
    png_set_tRNS(png, info, spec.palette_alpha.data(), static_cast<int>(spec.palette_alpha.size()), nullptr);
  if (spec.transparent_gray >= 0) {
    png_color_16 key{};
    key.gray = static_cast<png_uint_16>(spec.transparent_gray);
    png_set_tRNS(png, info, nullptr, 0, &key);
  }
  png_set_check_for_invalid_index(png, 0);
  png_write_info(png, info);
  const std::size_t stride = rows.size() / static_cast<std::size_t>(spec.height);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < spec.height; ++y) pointers.push_back(rows.data() + static_cast<std::size_t>(y) * stride);
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

enum class JpegKind { kBaseline, kProgressive };

// Gray, RGB or (4 channels) CMYK at quality 95 without chroma subsampling.
inline std::string jpeg(ImageView image, JpegKind kind = JpegKind::kBaseline) {
  tjhandle handle = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long size = 0;
  const int format = image.channels == 1 ? TJPF_GRAY : image.channels == 3 ? TJPF_RGB : TJPF_CMYK;
  const int rc = tjCompress2(handle, image.pixels, image.width, 0, image.height, format, &data, &size,
                             image.channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 95,
                             kind == JpegKind::kProgressive ? TJFLAG_PROGRESSIVE : 0);
  REQUIRE(rc == 0);
  std::string bytes(reinterpret_cast<char*>(data), size);
  tjFree(data);
  tjDestroy(handle);
  return bytes;
}

enum class Endian { kLittle, kBig };

// The JPEG with an Exif segment that holds one tag, the orientation.
inline std::string with_orientation(const std::string& jpeg_bytes, int orientation, Endian endian) {
  const bool little = endian == Endian::kLittle;
  std::string tiff = little ? std::string("II*\0", 4) : std::string("MM\0*", 4);
  const auto put = [&](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) tiff += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)));
  };
  put(8, 4);       // offset of the directory
  put(1, 2);       // one entry
  put(0x0112, 2);  // orientation
  put(3, 2);       // SHORT
  put(1, 4);
  put(static_cast<std::uint32_t>(orientation), 2);
  put(0, 2);
  put(0, 4);
  const std::string body = std::string("Exif\0\0", 6) + tiff;
  const std::size_t length = body.size() + 2;
  std::string segment("\xff\xe1", 2);
  segment += static_cast<char>(length >> 8);
  segment += static_cast<char>(length & 255);
  return jpeg_bytes.substr(0, 2) + segment + body + jpeg_bytes.substr(2);
}

inline int largest_difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width || a.channels != b.channels) return 256;
  int worst = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

inline Image copy_of(ImageView view) {
  Image image(view.height, view.width, view.channels);
  std::copy(view.bytes().begin(), view.bytes().end(), image.pixels.begin());
  return image;
}

}  // namespace gridstep::test
