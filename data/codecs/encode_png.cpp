#include <png.h>

#include <csetjmp>
#include <cstring>

#include "data/codecs/encode.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

struct Transfer {
  std::string* out = nullptr;
  char fault[160] = "";
};

void on_error(png_structp png, png_const_charp message) {
  auto* transfer = static_cast<Transfer*>(png_get_error_ptr(png));
  std::strncpy(transfer->fault, message, sizeof transfer->fault - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void append(png_structp png, png_bytep data, png_size_t n) {
  auto* transfer = static_cast<Transfer*>(png_get_io_ptr(png));
  try {
    transfer->out->append(reinterpret_cast<const char*>(data), n);
    return;
  } catch (...) {  // must not unwind through libpng
  }
  png_error(png, "out of memory");
}

void flush(png_structp) {}

int colour_type(int channels) {
  switch (channels) {
    case 1:
      return PNG_COLOR_TYPE_GRAY;
    case 3:
      return PNG_COLOR_TYPE_RGB;
    case 4:
      return PNG_COLOR_TYPE_RGB_ALPHA;
    default:
      fail("a picture of {} channels cannot be written as PNG", channels);
  }
}

// False when libpng reported an error. No object with a destructor may live here: libpng leaves by longjmp.
bool write_picture(png_structp png, png_infop info, Transfer* transfer, ImageView image, int type) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, transfer, append, flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8, type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < image.height; ++y) png_write_row(png, image.row(y));
  png_write_end(png, info);
  return true;
}

}  // namespace

std::string encode_png(ImageView image) {
  if (image.height < 1 || image.width < 1) fail("an empty picture cannot be written as PNG");
  const int type = colour_type(image.channels);
  std::string bytes;
  Transfer transfer{&bytes};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &transfer, on_error, on_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool written = info != nullptr && write_picture(png, info, &transfer, image, type);
  png_destroy_write_struct(&png, &info);
  if (!written)
    fail("cannot write a PNG of {} x {} pixels: {}", image.width, image.height, std::string_view(transfer.fault));
  return bytes;
}

void write_png(const fs::path& path, ImageView image) { write_file_atomic(path, encode_png(image)); }

}  // namespace gridstep
