// Resizing of photos: the bytes of Pillow's Image.resize(size, BILINEAR), and squares from the middle.
#include "data/resize.h"

#include "tests/data/pictures.h"

using namespace gridstep;
using namespace gridstep::test;

namespace {

Image pattern(int height, int width) {
  Image image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.row(y)[x * 3 + c] = static_cast<std::uint8_t>(y * y * 7 + x * 13 + x * y * 5 + c * 101);
  return image;
}

std::uint32_t adler32_of(const Image& image) {
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : image.pixels) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

}  // namespace

TEST_CASE("resizing gives Pillow's bytes", "[data]") {
  // Pillow 13.0.0: numpy.asarray(Image.fromarray(pattern).resize((ow, oh), Image.BILINEAR)), zlib.adler32 of the bytes.
  struct Row {
    int height, width, out_height, out_width;
    std::uint32_t adler;
  };
  for (const Row& r : {Row{7, 11, 5, 4, 0x762c1da9}, Row{40, 30, 13, 9, 0x9fb5afdb}, Row{9, 5, 20, 12, 0x0cf269ac},
                       Row{64, 64, 64, 64, 0xd0f11a69}, Row{3, 200, 2, 17, 0x39a632ea}, Row{1, 1, 4, 4, 0xc39712f1}}) {
    INFO(r.height << " x " << r.width << " -> " << r.out_height << " x " << r.out_width);
    const Image out = resize_bilinear(pattern(r.height, r.width), r.out_height, r.out_width);
    CHECK(out.height == r.out_height);
    CHECK(out.width == r.out_width);
    CHECK(adler32_of(out) == r.adler);
  }
  const Image small = resize_bilinear(pattern(3, 20), 2, 5);
  CHECK(small.pixels == std::vector<std::uint8_t>{31, 132, 196, 85,  183, 79,  144, 156, 90,  156,
                                                  69, 147, 161, 102, 138, 60,  161, 140, 137, 155,
                                                  86, 141, 93,  162, 98,  146, 134, 125, 118, 102});
}

TEST_CASE("a square is the middle of the resized photo", "[data]") {
  for (const auto& [height, width] : {std::pair{30, 50}, std::pair{50, 30}, std::pair{31, 31}, std::pair{1, 9}}) {
    const Image image = pattern(height, width);
    const Image square = resize_to_square(image, 16);
    REQUIRE(square.height == 16);
    REQUIRE(square.width == 16);
    const int h = height <= width ? 16 : height * 16 / width, w = width <= height ? 16 : width * 16 / height;
    const Image whole = resize_bilinear(image, h, w);
    const int top = (h - 16) / 2, left = (w - 16) / 2;
    for (int y = 0; y < 16; ++y)
      CHECK(std::memcmp(square.view().row(y), whole.view().row(top + y) + left * 3, 48) == 0);
  }
  CHECK(resize_to_square(pattern(16, 16), 16) == pattern(16, 16));
}
