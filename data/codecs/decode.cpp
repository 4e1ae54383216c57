#include "data/codecs/decode.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

#include "data/codecs/codec.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

using Bytes = std::span<const std::byte>;

bool starts_with(Bytes file, std::string_view magic) {
  return file.size() >= magic.size() && std::equal(magic.begin(), magic.end(), file.begin(),
                                                   [](char m, std::byte b) { return static_cast<std::byte>(m) == b; });
}

constexpr std::string_view kPngSignature("\x89PNG\r\n\x1a\n", 8);

// Files that people find under an image's name, each with a word of help.
[[noreturn]] void fail_unknown_format(Bytes file) {
  if (file.empty()) fail<DataError>("the file is empty");
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kKnown{{
      {"\x89PNG", "a PNG damaged by a text-mode transfer (its signature is broken); fetch it again in binary mode"},
      {"GIF8", "a GIF; only PNG and JPEG are read"},
      {"BM", "a BMP; only PNG and JPEG are read"},
      {"II*", "a TIFF; only PNG and JPEG are read"},
      {"MM", "a TIFF; only PNG and JPEG are read"},
      {"RIFF", "a RIFF file (WebP?); only PNG and JPEG are read"},
      {"version https://git-lfs", "a Git LFS pointer, not the picture; run `git lfs pull`"},
      {"<", "a web page or XML, not a picture (a failed download?)"},
  }};
  for (const auto& [magic, what] : kKnown)
    if (starts_with(file, magic)) fail<DataError>("{}", what);
  fail<DataError>("neither PNG nor JPEG");
}

ImageInfo probe(Bytes file) {
  if (starts_with(file, kPngSignature)) return detail::probe_png(file);
  if (starts_with(file, "\xff\xd8")) return detail::probe_jpeg(file);
  fail_unknown_format(file);
}

Image gray_to_rgb(const Image& gray) {
  Image rgb(gray.height, gray.width, 3);
  auto out = rgb.pixels.begin();
  for (const std::uint8_t v : gray.pixels) out = std::fill_n(out, 3, v);
  return rgb;
}

// Faults found in the bytes, with the file's name in front.
template <class F>
auto naming(const fs::path& path, F&& work) {
  try {
    return work(map_source_file(path));
  } catch (const DataError& e) {
    fail<DataError>("{}: {}", path.string(), e.what());
  }
}

}  // namespace

ImageInfo probe_image_bytes(Bytes file) { return probe(file); }

Image decode_image_bytes(Bytes file, const DecodeOptions& options) {
  if (options.channels != 0 && options.channels != 3)
    fail<ConfigError>("pictures are decoded to 3 channels or as stored (0), not to {}", options.channels);
  const ImageInfo info = probe(file);
  if (info.pixels() > options.max_pixels)
    fail<DataError>("claims {} x {} pixels, more than the {} allowed (--max-pixels)", info.width, info.height,
                    options.max_pixels);
  Image image = info.format == ImageFormat::kPng ? detail::decode_png(file, info) : detail::decode_jpeg(file, info);
  return options.channels == 3 && image.channels == 1 ? gray_to_rgb(image) : image;
}

ImageInfo probe_image(const fs::path& path) {
  return naming(path, [](const MappedFile& file) { return probe(file.bytes()); });
}

Image decode_image(const fs::path& path, const DecodeOptions& options) {
  return naming(path, [&](const MappedFile& file) { return decode_image_bytes(file.bytes(), options); });
}

bool looks_like_image(const fs::path& path) {
  static constexpr std::array<std::string_view, 14> kExtensions{".png",  ".jpg",  ".jpeg", ".jpe",  ".jfif",
                                                                ".gif",  ".bmp",  ".tif",  ".tiff", ".webp",
                                                                ".avif", ".heic", ".ppm",  ".pgm"};
  if (path.filename().string().starts_with('.')) return false;
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

MappedFile map_source_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail<DataError>("no such file");
  if (fs::is_directory(status)) fail<DataError>("a folder, not a file");
  // Opening a pipe or a device could wait for ever.
  if (!fs::is_regular_file(status)) fail<DataError>("not a regular file");
  try {
    return MappedFile(path);
  } catch (const Error&) {
    fail<DataError>("cannot be read (permissions?)");
  }
}

}  // namespace gridstep
