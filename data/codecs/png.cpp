// PNG through libpng.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <string>
#include <string_view>

#include "data/codecs/codec.h"
#include "engine/base/error.h"

namespace gridstep::detail {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kHeaderEnd = 33;  // signature 8, IHDR: length 4, type 4, content 13, CRC 4
constexpr std::size_t kColourTypeAt = 25;
constexpr int kMaxSide = 1'000'000;  // libpng's own limit

std::uint32_t big_endian32(Bytes bytes, std::size_t at) {
  return byte_at(bytes, at) << 24 | byte_at(bytes, at + 1) << 16 | byte_at(bytes, at + 2) << 8 | byte_at(bytes, at + 3);
}

// The state libpng's callbacks share: where to read, and what went wrong.
struct Transfer {
  Bytes file;
  std::size_t offset = 0;
  char fault[160] = "";
};

void read_bytes(png_structp png, png_bytep out, png_size_t n) {
  auto* transfer = static_cast<Transfer*>(png_get_io_ptr(png));
  if (n > transfer->file.size() - transfer->offset) png_error(png, "the file is truncated");
  std::memcpy(out, transfer->file.data() + transfer->offset, n);
  transfer->offset += n;
}

void on_error(png_structp png, png_const_charp message) {
  auto* transfer = static_cast<Transfer*>(png_get_error_ptr(png));
  std::strncpy(transfer->fault, message, sizeof transfer->fault - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}  // of ancillary chunks; faults of the image data are errors

class Reader {
 public:
  explicit Reader(Bytes file) {
    transfer_.file = file;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &transfer_, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail<DeviceError>("no memory to read a PNG");
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Runs libpng calls. They leave by longjmp, so no object with a destructor may be made inside `calls`.
  template <class F>
  void guarded(F&& calls) {
    if (setjmp(png_jmpbuf(png_)) != 0) fail<DataError>("damaged PNG: {}", std::string_view(transfer_.fault));
    calls(png_, info_);
  }
  void start(png_structp png) { png_set_read_fn(png, &transfer_, read_bytes); }

 private:
  Transfer transfer_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

// Of the chunks only IHDR, PLTE, tRNS, IDAT and IEND are used. The others must not be read: libpng takes as much memory
// for some of them (pCAL, sCAL) as they claim to be long, up to 2 GiB, before it looks whether the file has it.
void skip_unused_chunks(png_structp png) { png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1); }

// (P, colours + 1) with alpha last -> (P, colours), in place.
void composite_over_white(Image& image) {
  const int colours = image.channels - 1;
  std::uint8_t* out = image.pixels.data();
  const std::uint8_t* end = image.pixels.data() + image.pixels.size();
  for (const std::uint8_t* in = image.pixels.data(); in != end; in += image.channels) {
    const int alpha = in[colours];
    for (int c = 0; c < colours; ++c) *out++ = divide_by_255(in[c] * alpha + 255 * (255 - alpha));
  }
  image.channels = colours;
  image.pixels.resize(image.view().size_bytes());
}

// The palette over white.
struct Palette {
  int entries = 0;
  std::uint8_t rgb[PNG_MAX_PALETTE_LENGTH][3] = {};
};

Palette read_palette(png_structp png, png_infop info) {
  Palette result;
  png_colorp colours = nullptr;
  png_bytep alphas = nullptr;
  int n_alphas = 0;
  png_get_PLTE(png, info, &colours, &result.entries);
  png_get_tRNS(png, info, &alphas, &n_alphas, nullptr);
  for (int i = 0; i < result.entries; ++i) {
    const int alpha = i < n_alphas ? alphas[i] : 255;
    const int rgb[3] = {colours[i].red, colours[i].green, colours[i].blue};
    for (int c = 0; c < 3; ++c) result.rgb[i][c] = divide_by_255(rgb[c] * alpha + 255 * (255 - alpha));
  }
  return result;
}

Image apply_palette(const Image& indices, const Palette& palette) {
  Image image(indices.height, indices.width, 3);
  std::uint8_t* out = image.pixels.data();
  for (const std::uint8_t index : indices.pixels) {
    if (index >= palette.entries) fail<DataError>("damaged PNG: uses a colour that its palette lacks");
    out = std::copy_n(palette.rgb[index], 3, out);
  }
  return image;
}

}  // namespace

ImageInfo probe_png(Bytes file) {
  if (file.size() < kHeaderEnd) fail<DataError>("damaged PNG: ends within its header");
  if (std::memcmp(file.data() + 12, "IHDR", 4) != 0) fail<DataError>("damaged PNG: does not begin with an IHDR chunk");
  const std::uint32_t width = big_endian32(file, 16), height = big_endian32(file, 20);
  if (width == 0 || height == 0) fail<DataError>("damaged PNG: claims {} x {} pixels", width, height);
  if (width > kMaxSide || height > kMaxSide)
    fail<DataError>("claims {} x {} pixels; a side may have {} at most", width, height, kMaxSide);
  const unsigned colour_type = byte_at(file, kColourTypeAt);
  const bool colour = (colour_type & PNG_COLOR_MASK_COLOR) != 0;
  const bool alpha = (colour_type & PNG_COLOR_MASK_ALPHA) != 0;
  return {ImageFormat::kPng, static_cast<int>(height), static_cast<int>(width), colour ? 3 : 1, alpha, 1};
}

Image decode_png(Bytes file, const ImageInfo& info) {
  Reader reader(file);
  int channels = 0, passes = 0;
  const bool palette = byte_at(file, kColourTypeAt) == PNG_COLOR_TYPE_PALETTE;
  reader.guarded([&](png_structp png, png_infop png_info) {
    reader.start(png);
    skip_unused_chunks(png);
    png_read_info(png, png_info);
    if (palette)
      png_set_packing(png);  // one byte per index; expanded here, since libpng does not tell of an index out of range
    else
      png_set_expand(png);
    png_set_scale_16(png);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, png_info);
    channels = png_get_channels(png, png_info);
  });
  Image image(info.height, info.width, channels);
  Palette colours;
  reader.guarded([&](png_structp png, png_infop png_info) {
    for (int pass = 0; pass < passes; ++pass)
      for (int y = 0; y < image.height; ++y) png_read_row(png, image.row(y), nullptr);
    png_read_end(png, nullptr);
    if (palette) colours = read_palette(png, png_info);
  });
  if (palette) return apply_palette(image, colours);
  if (image.channels == 2 || image.channels == 4) composite_over_white(image);
  return image;
}

}  // namespace gridstep::detail
