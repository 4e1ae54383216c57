// JPEG through TurboJPEG; the header is read here, so that sizes and unsupported kinds are known before anything is
// decoded.
#include <turbojpeg.h>

#include <memory>
#include <string_view>

#include "data/codecs/codec.h"
#include "engine/base/error.h"

namespace gridstep::detail {
namespace {

using Bytes = std::span<const std::byte>;

// What the marker segments before the first scan say (ITU-T T.81, annex B).
struct Header {
  int height = 0;
  int width = 0;
  int components = 0;
  int orientation = 1;
};

unsigned big_endian16(Bytes bytes, std::size_t at) { return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1); }

// The orientation tag of an Exif segment's TIFF part, 1 when there is none or it makes no sense (EXIF 2.3, 4.6.4 A).
int exif_orientation(Bytes tiff) {
  if (tiff.size() < 8) return 1;
  const bool big = byte_at(tiff, 0) == 'M';
  const auto u16 = [&](std::size_t at) {
    return big ? big_endian16(tiff, at) : byte_at(tiff, at + 1) << 8 | byte_at(tiff, at);
  };
  const auto u32 = [&](std::size_t at) { return big ? u16(at) << 16 | u16(at + 2) : u16(at + 2) << 16 | u16(at); };
  const std::size_t directory = u32(4);
  if (directory > tiff.size() - 2) return 1;
  const unsigned entries = u16(directory);
  constexpr unsigned kOrientationTag = 0x0112, kShort = 3;
  for (unsigned i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + std::size_t{12} * i;
    if (at + 12 > tiff.size()) return 1;
    if (u16(at) != kOrientationTag) continue;
    const unsigned value = u16(at + 8);
    return u16(at + 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

bool is_exif(Bytes segment) {
  static constexpr std::string_view kMark("Exif\0\0", 6);
  return segment.size() >= kMark.size() &&
         std::string_view(reinterpret_cast<const char*>(segment.data()), kMark.size()) == kMark;
}

void read_frame(unsigned marker, Bytes segment, Header& header) {
  if (marker != 0xC0 && marker != 0xC1 && marker != 0xC2 && marker != 0xC9 && marker != 0xCA)
    fail<DataError>("a lossless or hierarchical JPEG (frame type {:#04x}), which is not supported", marker);
  if (segment.size() < 6) fail<DataError>("damaged JPEG: short frame header");
  const unsigned bits = byte_at(segment, 0);
  if (bits != 8) fail<DataError>("a JPEG of {} bits per sample; only 8 are supported", bits);
  header.height = static_cast<int>(big_endian16(segment, 1));
  header.width = static_cast<int>(big_endian16(segment, 3));
  header.components = static_cast<int>(byte_at(segment, 5));
  if (header.height == 0 || header.width == 0)
    fail<DataError>("damaged JPEG: claims {} x {} pixels", header.width, header.height);
  if (header.components != 1 && header.components != 3 && header.components != 4)
    fail<DataError>("a JPEG of {} components; 1, 3 and 4 are supported", header.components);
}

bool is_frame(unsigned marker) {  // SOF0..15 without DHT, JPG and DAC
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

Header read_header(Bytes file) {
  Header header;
  std::size_t at = 2;
  for (;;) {
    while (at + 1 < file.size() && byte_at(file, at) == 0xFF && byte_at(file, at + 1) == 0xFF) ++at;  // fill bytes
    if (at + 4 > file.size()) fail<DataError>("damaged JPEG: ends within its header");
    if (byte_at(file, at) != 0xFF) fail<DataError>("damaged JPEG: no marker at byte {}", at);
    const unsigned marker = byte_at(file, at + 1);
    at += 2;
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) continue;
    if (marker == 0xD8) fail<DataError>("damaged JPEG: a second start of image");
    if (marker == 0xD9) fail<DataError>("damaged JPEG: contains no picture");
    if (marker == 0xDA) break;
    const std::size_t length = big_endian16(file, at);
    if (length < 2 || at + length > file.size())
      fail<DataError>("damaged JPEG: segment {:#04x} is cut or empty", marker);
    const Bytes segment = file.subspan(at + 2, length - 2);
    if (is_frame(marker)) {
      if (header.components != 0) fail<DataError>("damaged JPEG: two frame headers");
      read_frame(marker, segment, header);
    }
    if (marker == 0xE1 && is_exif(segment)) header.orientation = exif_orientation(segment.subspan(6));
    at += length;
  }
  if (header.components == 0) fail<DataError>("damaged JPEG: a scan without a frame header");
  return header;
}

Image cmyk_to_rgb(const Image& cmyk) {
  Image rgb(cmyk.height, cmyk.width, 3);
  std::uint8_t* out = rgb.pixels.data();
  for (std::size_t i = 0; i < cmyk.pixels.size(); i += 4)
    for (std::size_t c = 0; c < 3; ++c) *out++ = divide_by_255(cmyk.pixels[i + c] * cmyk.pixels[i + 3]);
  return rgb;
}

// The upright picture. Orientations 2..4 mirror and turn by half, 5..8 swap the sides (EXIF 2.3, tag 274): the stored
// row 0 and column 0 are the visual top/left, top/right, bottom/right, bottom/left, left/top, right/top, right/bottom,
// left/bottom.
Image upright(const Image& stored, int orientation) {
  const bool swapped = orientation >= 5;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Image result(swapped ? stored.width : stored.height, swapped ? stored.height : stored.width, stored.channels);
  std::uint8_t* out = result.pixels.data();
  for (int y = 0; y < result.height; ++y) {
    const int v = flip_y ? result.height - 1 - y : y;
    for (int x = 0; x < result.width; ++x) {
      const int h = flip_x ? result.width - 1 - x : x;
      const std::uint8_t* in = swapped ? stored.view().pixel(h, v) : stored.view().pixel(v, h);
      for (int c = 0; c < stored.channels; ++c) *out++ = in[c];
    }
  }
  return result;
}

int pixel_format(int components) { return components == 1 ? TJPF_GRAY : components == 3 ? TJPF_RGB : TJPF_CMYK; }

}  // namespace

ImageInfo probe_jpeg(Bytes file) {
  const Header header = read_header(file);
  const bool swapped = header.orientation >= 5;
  return {ImageFormat::kJpeg,
          swapped ? header.width : header.height,
          swapped ? header.height : header.width,
          header.components == 1 ? 1 : 3,
          false,
          header.orientation};
}

Image decode_jpeg(Bytes file, const ImageInfo& info) {
  const Header header = read_header(file);
  const std::unique_ptr<void, int (*)(tjhandle)> handle(tjInitDecompress(), tjDestroy);
  if (handle == nullptr) fail<DeviceError>("no memory to read a JPEG");
  Image image(header.height, header.width, header.components);
  // A warning of the decoder means that samples were made up; 500 scans is the library's bound for LIMITSCANS.
  const int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(handle.get(), reinterpret_cast<const unsigned char*>(file.data()), file.size(), image.pixels.data(),
                    header.width, 0, header.height, pixel_format(header.components), flags) != 0)
    fail<DataError>("damaged JPEG: {}", tjGetErrorStr2(handle.get()));
  if (image.channels == 4) image = cmyk_to_rgb(image);
  return info.orientation == 1 ? image : upright(image, info.orientation);
}

}  // namespace gridstep::detail
