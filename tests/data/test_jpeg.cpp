#include "data/codecs/decode.h"
#include "engine/base/error.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

// Quality 95 without subsampling, on a gradient: colour conversion and quantization each cost a level or two.
constexpr int kJpegLevels = 6;

Image decode(const std::string& bytes, const DecodeOptions& options = {kDefaultMaxPixels, 0}) {
  return decode_image_bytes(as_bytes(bytes), options);
}

TEST_CASE("JPEG gray and RGB, baseline and progressive", "[data]") {
  const int channels = GENERATE(1, 3);
  const JpegKind kind = GENERATE(JpegKind::kBaseline, JpegKind::kProgressive);
  const auto [height, width] = GENERATE(std::pair{33, 50}, std::pair{1, 1});
  const Image image = gradient_image(height, width, channels);
  CHECK(largest_difference(decode(jpeg(image, kind)), image) <= kJpegLevels);
  CHECK(decode(jpeg(image, kind), {}).channels == 3);
}

TEST_CASE("CMYK JPEG is taken as inverted", "[data]") {
  const Image cmyk = gradient_image(24, 24, 4);
  const Image rgb = decode(jpeg(cmyk));
  Image want(24, 24, 3);
  for (std::size_t i = 0; i < 24 * 24; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      want.pixels[3 * i + c] = static_cast<std::uint8_t>(cmyk.pixels[4 * i + c] * cmyk.pixels[4 * i + 3] / 255);
  CHECK(largest_difference(rgb, want) <= kJpegLevels);
}

// The stored picture whose display under an EXIF orientation is `upright`: pixel (y, x) of what is seen lies at the
// stored row and column that the table of the EXIF standard gives.
Image stored_for(const Image& upright, int orientation) {
  const bool swapped = orientation >= 5;
  Image stored(swapped ? upright.width : upright.height, swapped ? upright.height : upright.width, upright.channels);
  const int bottom = upright.height - 1, right = upright.width - 1;
  for (int y = 0; y <= bottom; ++y) {
    for (int x = 0; x <= right; ++x) {
      int row = 0, column = 0;
      switch (orientation) {
        case 1:
          row = y, column = x;
          break;  // row 0 top, column 0 left
        case 2:
          row = y, column = right - x;
          break;  // top, right
        case 3:
          row = bottom - y, column = right - x;
          break;  // bottom, right
        case 4:
          row = bottom - y, column = x;
          break;  // bottom, left
        case 5:
          row = x, column = y;
          break;  // left, top
        case 6:
          row = right - x, column = y;
          break;  // right, top
        case 7:
          row = right - x, column = bottom - y;
          break;  // right, bottom
        default:
          row = x, column = bottom - y;
          break;  // left, bottom
      }
      for (int c = 0; c < upright.channels; ++c)
        stored.row(row)[column * upright.channels + c] = upright.view().row(y)[x * upright.channels + c];
    }
  }
  return stored;
}

TEST_CASE("the EXIF orientation is applied", "[data]") {
  const int orientation = GENERATE(1, 2, 3, 4, 5, 6, 7, 8);
  const Endian endian = GENERATE(Endian::kLittle, Endian::kBig);
  const Image upright = gradient_image(32, 56, 3);
  const std::string bytes = with_orientation(jpeg(stored_for(upright, orientation)), orientation, endian);
  const ImageInfo info = probe_image_bytes(as_bytes(bytes));
  CHECK(info.orientation == orientation);
  CHECK(info.height == 32);
  CHECK(info.width == 56);
  CHECK(largest_difference(decode(bytes), upright) <= kJpegLevels);
}

TEST_CASE("a nonsensical EXIF orientation is ignored", "[data]") {
  const Image image = gradient_image(16, 24, 3);
  const int orientation = GENERATE(0, 9, 65535);
  CHECK(largest_difference(decode(with_orientation(jpeg(image), orientation, Endian::kBig)), image) <= kJpegLevels);
  std::string cut = with_orientation(jpeg(image), 6, Endian::kLittle);
  const std::size_t entries = cut.find("II*") + 8;
  cut[entries] = '\xff';  // more entries than there are bytes; the first is still found
  CHECK(decode(cut).width == 16);
}

TEST_CASE("every truncation of a JPEG is refused", "[data]") {
  const std::string whole = jpeg(gradient_image(40, 40, 3));
  for (std::size_t n = 2; n < whole.size(); n += n < 700 ? 1 : 13) {
    INFO(n);
    REQUIRE_THROWS_AS(decode(whole.substr(0, n)), DataError);
  }
  CHECK_NOTHROW(decode(whole + "trailing"));
}

std::string with_frame_byte(std::string bytes, std::size_t offset, int value) {
  for (std::size_t i = 2; i + 9 < bytes.size(); ++i) {
    if (bytes[i] == '\xff' && bytes[i + 1] == '\xc0') {
      bytes[i + offset] = static_cast<char>(value);
      return bytes;
    }
  }
  FAIL("no frame header");
  return bytes;
}

TEST_CASE("JPEG headers that claim too much or the unsupported are refused", "[data]") {
  const std::string whole = jpeg(gradient_image(16, 16, 3));
  std::string huge = with_frame_byte(whole, 5, 0xff);
  huge = with_frame_byte(huge, 7, 0xff);
  CHECK_THROWS_WITH(decode(huge), Catch::Contains("--max-pixels"));
  CHECK_THROWS_WITH(decode(with_frame_byte(whole, 1, 0xc3)), Catch::Contains("lossless"));
  CHECK_THROWS_WITH(decode(with_frame_byte(whole, 4, 12)), Catch::Contains("12 bits"));
  CHECK_THROWS_AS(decode(with_frame_byte(whole, 6, 0)), DataError);  // height 0
  CHECK_THROWS_AS(decode(with_frame_byte(whole, 9, 2)), DataError);  // two components
}

TEST_CASE("damage that a JPEG decoder would paper over is refused", "[data]") {
  std::string bytes = jpeg(noise_image(64, 64, 1));
  const std::size_t at = bytes.size() - 400;
  bytes.replace(at, 4, std::string("\xff\xd9\x12\x34", 4));  // an early end of image
  CHECK_THROWS_AS(decode(bytes), DataError);
}

TEST_CASE("names that look like images", "[data]") {
  for (const char* name : {"a.png", "A.JPG", "x.y.jpeg", "-.Png", "b.gif", "c.tiff"}) CHECK(looks_like_image(name));
  for (const char* name : {".png", "._photo.jpg", "Thumbs.db", "notes.txt", "png", "a.png.part"})
    CHECK_FALSE(looks_like_image(name));
}

}  // namespace
}  // namespace gridstep::test
