#include <sys/resource.h>

#include <cmath>

#include "data/codecs/decode.h"
#include "data/codecs/encode.h"
#include "engine/base/error.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

constexpr DecodeOptions kAsStored{kDefaultMaxPixels, 0};

Image decode(const std::string& bytes, const DecodeOptions& options = kAsStored) {
  return decode_image_bytes(as_bytes(bytes), options);
}

int over_white(int value, int alpha) {
  return static_cast<int>(std::lround((value * alpha + 255.0 * (255 - alpha)) / 255));
}

TEST_CASE("PNG round trip of gray and RGB", "[data]") {
  const int channels = GENERATE(1, 3);
  const Image image = noise_image(19, 37, channels);
  CHECK(decode(encode_png(image)) == image);
  CHECK(encode_png(image) == encode_png(image));
}

TEST_CASE("gray becomes RGB on demand", "[data]") {
  const Image gray = noise_image(5, 7, 1);
  const Image rgb = decode(encode_png(gray), {});
  REQUIRE(rgb.channels == 3);
  for (std::size_t i = 0; i < gray.pixels.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) REQUIRE(rgb.pixels[3 * i + c] == gray.pixels[i]);
}

TEST_CASE("gray PNG of 1, 2 and 4 bits is spread over 0..255", "[data]") {
  const int depth = GENERATE(1, 2, 4);
  const bool interlaced = GENERATE(false, true);
  const int levels = 1 << depth, per_byte = 8 / depth, width = 16, height = 9;
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(height * width / per_byte));
  std::vector<std::uint8_t> want;
  for (int i = 0; i < height * width; ++i) {
    const int v = (i * 7 + i / width) % levels;
    rows[static_cast<std::size_t>(i / per_byte)] |= static_cast<std::uint8_t>(v << (8 - depth - i % per_byte * depth));
    want.push_back(static_cast<std::uint8_t>(v * 255 / (levels - 1)));
  }
  const Image image = decode(raw_png({height, width, PNG_COLOR_TYPE_GRAY, depth, interlaced, {}, {}, -1}, rows));
  CHECK(image.channels == 1);
  CHECK(image.pixels == want);
}

TEST_CASE("PNG of 16 bits is rounded to 8", "[data]") {
  std::vector<std::uint8_t> rows, want;
  for (int i = 0; i < 4096; ++i) {
    const int v = i * 16 + i % 16;
    rows.push_back(static_cast<std::uint8_t>(v >> 8));
    rows.push_back(static_cast<std::uint8_t>(v & 255));
    want.push_back(static_cast<std::uint8_t>(std::lround(v / 257.0)));
  }
  CHECK(decode(raw_png({64, 64, PNG_COLOR_TYPE_GRAY, 16, false, {}, {}, -1}, rows)).pixels == want);
}

TEST_CASE("interlaced PNG equals the plain one", "[data]") {
  const auto [height, width] = GENERATE(std::pair{1, 1}, std::pair{13, 21}, std::pair{3, 64});
  const Image image = noise_image(height, width, 3);
  CHECK(decode(raw_png({height, width, PNG_COLOR_TYPE_RGB, 8, true, {}, {}, -1}, image.pixels)) == image);
}

TEST_CASE("palette PNG becomes RGB, its transparency over white", "[data]") {
  const PngSpec spec{1, 4, PNG_COLOR_TYPE_PALETTE, 2, false, {{10, 20, 30}, {200, 100, 0}, {1, 2, 3}}, {255, 128}, -1};
  const Image image = decode(raw_png(spec, {0b00'01'10'00}));
  const std::vector<std::uint8_t> want{10,
                                       20,
                                       30,
                                       static_cast<std::uint8_t>(over_white(200, 128)),
                                       static_cast<std::uint8_t>(over_white(100, 128)),
                                       static_cast<std::uint8_t>(over_white(0, 128)),
                                       1,
                                       2,
                                       3,
                                       10,
                                       20,
                                       30};
  CHECK(image.channels == 3);
  CHECK(image.pixels == want);
}

TEST_CASE("a palette index out of range is an error", "[data]") {
  const PngSpec spec{1, 4, PNG_COLOR_TYPE_PALETTE, 2, false, {{1, 2, 3}, {4, 5, 6}}, {}, -1};
  CHECK_NOTHROW(decode(raw_png(spec, {0b00'01'00'01})));
  CHECK_THROWS_AS(decode(raw_png(spec, {0b00'01'11'01})), DataError);
}

TEST_CASE("alpha is composited over white", "[data]") {
  const int colours = GENERATE(1, 3);
  const bool interlaced = GENERATE(false, true);
  const Image stored = noise_image(16, 16, colours + 1, 5);
  const int type = colours == 1 ? PNG_COLOR_TYPE_GRAY_ALPHA : PNG_COLOR_TYPE_RGB_ALPHA;
  const std::string bytes = raw_png({16, 16, type, 8, interlaced, {}, {}, -1}, stored.pixels);
  CHECK(probe_image_bytes(as_bytes(bytes)).alpha);
  const Image image = decode(bytes);
  REQUIRE(image.channels == colours);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t n = static_cast<std::size_t>(colours) + 1;
    const int alpha = stored.pixels[i * n + n - 1];
    for (std::size_t c = 0; c < n - 1; ++c)
      REQUIRE(image.pixels[i * (n - 1) + c] == over_white(stored.pixels[i * n + c], alpha));
  }
}

TEST_CASE("a colour key of a gray PNG is transparent", "[data]") {
  const PngSpec spec{1, 3, PNG_COLOR_TYPE_GRAY, 8, false, {}, {}, 77};
  CHECK(decode(raw_png(spec, {76, 77, 78})).pixels == std::vector<std::uint8_t>{76, 255, 78});
}

TEST_CASE("every truncation of a PNG is refused", "[data]") {
  const std::string whole = encode_png(noise_image(6, 6, 3));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    INFO(n);
    REQUIRE_THROWS_AS(decode(whole.substr(0, n)), DataError);
  }
  CHECK_NOTHROW(decode(whole + std::string(100, '\0')));
}

TEST_CASE("a flipped bit in the image data of a PNG is refused", "[data]") {
  std::string bytes = encode_png(noise_image(16, 16, 3));
  const std::size_t at = bytes.find("IDAT") + 40;
  bytes[at] = static_cast<char>(bytes[at] ^ 4);
  CHECK_THROWS_AS(decode(bytes), DataError);
}

// The picture's header with other sides; its checksum no longer fits, but the size must be refused before that is
// looked at.
std::string claiming(std::uint32_t width, std::uint32_t height) {
  std::string bytes = encode_png(Image(1, 1, 1));
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[16 + i] = static_cast<char>(width >> (24 - 8 * i));
    bytes[20 + i] = static_cast<char>(height >> (24 - 8 * i));
  }
  return bytes;
}

TEST_CASE("a PNG that claims too much is refused by its header", "[data]") {
  CHECK_THROWS_WITH(decode(claiming(60000, 60000)),
                    Catch::Contains("60000 x 60000") && Catch::Contains("--max-pixels"));
  CHECK_THROWS_WITH(decode(claiming(2147483647, 2147483647)), Catch::Contains("2147483647"));
  CHECK_THROWS_AS(decode(claiming(0, 10)), DataError);
  const std::string small = encode_png(Image(10, 10, 1));
  CHECK_NOTHROW(decode(small, {100, 0}));
  CHECK_THROWS_AS(decode(small, {99, 0}), DataError);
}

long peak_kib() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_CASE("a chunk of a PNG that claims 2 GiB takes no memory", "[data]") {
  using namespace std::string_literals;
  const std::string picture = encode_png(noise_image(6, 6, 3));
  const long before = peak_kib();
  for (const char* type : {"pCAL", "sCAL", "eXIf", "tEXt", "iCCP", "sPLT", "hIST", "tRNS", "PLTE", "zzzz"}) {
    std::string bytes = picture;
    bytes.insert(33, "\x7f\xff\xff\xf0"s + type + "abcd");
    INFO(type);
    CHECK_THROWS_AS(decode(bytes), DataError);
  }
  CHECK(peak_kib() - before < 200'000);
}

TEST_CASE("files that are no pictures say what they are", "[data]") {
  CHECK_THROWS_WITH(decode(""), Catch::Contains("empty"));
  CHECK_THROWS_WITH(decode("GIF89a......"), Catch::Contains("GIF"));
  CHECK_THROWS_WITH(decode("version https://git-lfs.github.com/spec/v1\n"), Catch::Contains("git lfs pull"));
  CHECK_THROWS_WITH(decode("\x89PNG\n\x1a\n.."), Catch::Contains("text-mode"));
  CHECK_THROWS_WITH(decode("<html>"), Catch::Contains("web page"));
  CHECK_THROWS_AS(decode("hello"), DataError);
}

TEST_CASE("decode_image names the file, and the content decides the kind", "[data]") {
  const TemporaryFolder folder;
  const Image image = noise_image(4, 5, 3);
  write_png(folder / "really a png.jpg", image);
  CHECK(decode_image(folder / "really a png.jpg") == image);
  write_bytes(folder / "bad.png", "nothing");
  CHECK_THROWS_WITH(decode_image(folder / "bad.png"), Catch::Contains("bad.png: neither"));
  CHECK_THROWS_WITH(decode_image(folder / "none.png"), Catch::Contains("none.png: no such file"));
  CHECK_THROWS_AS(decode_image(folder.path()), DataError);
}

TEST_CASE("a PNG of an unsupported channel count is not written", "[data]") {
  CHECK_THROWS_AS(encode_png(Image(2, 2, 2)), Error);
  CHECK_THROWS_AS(encode_png(Image(0, 2, 3)), Error);
}

}  // namespace
}  // namespace gridstep::test
