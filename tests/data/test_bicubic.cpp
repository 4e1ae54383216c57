#include "data/bicubic.h"

#include "engine/base/error.h"
#include "tests/data/pictures.h"
#include "tests/reference/bicubic_oracle.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"

namespace gridstep::test {
namespace {

OraclePicture for_oracle(const Image& image) { return {image.height, image.width, image.channels, image.pixels}; }

OracleBorder oracle_border(Border border) {
  return border == Border::kMirror ? OracleBorder::kMirror : OracleBorder::kReplicate;
}

TEST_CASE("bicubic reduction equals the definition", "[data]") {
  const int scale = GENERATE(2, 3, 4, 8);
  const Border border = GENERATE(Border::kMirror, Border::kReplicate);
  const int channels = GENERATE(1, 3);
  // The narrow picture is smaller than the kernel: its border rule folds several times.
  const auto [height, width] = GENERATE(std::pair{48, 72}, std::pair{24, 8}, std::pair{8, 48});
  const Image hr = crop_to_multiple(noise_image(height, width, channels, 1), scale);
  const Image lr = bicubic_reduce(hr, scale, border);
  const OraclePicture want = oracle_resize(for_oracle(hr), 1.0 / scale, oracle_border(border));
  REQUIRE(lr.height == want.height);
  REQUIRE(lr.width == want.width);
  CHECK_SAME(compare_exact(lr.pixels, want.values));
}

TEST_CASE("bicubic enlargement equals the definition", "[data]") {
  const int scale = GENERATE(2, 3, 4, 8);
  const Border border = GENERATE(Border::kMirror, Border::kReplicate);
  const auto [height, width] = GENERATE(std::pair{11, 40}, std::pair{1, 5}, std::pair{3, 1});
  const Image lr = noise_image(height, width, 3, 2);
  const Image up = bicubic_enlarge(lr, scale, border);
  const OraclePicture want = oracle_resize(for_oracle(lr), scale, oracle_border(border));
  REQUIRE(up.height == height * scale);
  REQUIRE(up.width == width * scale);
  CHECK_SAME(compare_exact(up.pixels, want.values));
}

TEST_CASE("the two border rules differ at the border only", "[data]") {
  const Image hr = noise_image(60, 60, 1, 3);
  const Image mirror = bicubic_reduce(hr, 3, Border::kMirror), replicate = bicubic_reduce(hr, 3, Border::kReplicate);
  CHECK(mirror != replicate);
  for (int y = 2; y < 18; ++y)
    for (int x = 2; x < 18; ++x) REQUIRE(mirror.view().row(y)[x] == replicate.view().row(y)[x]);
}

TEST_CASE("bicubic keeps a constant picture and clamps overshoot", "[data]") {
  Image flat(24, 24, 3);
  std::fill(flat.pixels.begin(), flat.pixels.end(), std::uint8_t{201});
  CHECK(bicubic_reduce(flat, 4).pixels == std::vector<std::uint8_t>(6 * 6 * 3, 201));
  Image edge(12, 12, 1);
  for (int y = 0; y < 12; ++y)
    for (int x = 6; x < 12; ++x) edge.row(y)[x] = 255;
  const Image up = bicubic_enlarge(edge, 4);
  CHECK(up.view().row(0)[0] == 0);
  CHECK(up.view().row(0)[47] == 255);
}

TEST_CASE("reduction crops to a multiple of the scale first", "[data]") {
  const Image hr = noise_image(26, 35, 3, 4);
  const Image cropped = crop_to_multiple(hr, 3);
  CHECK(cropped.height == 24);
  CHECK(cropped.width == 33);
  CHECK(cropped.view().row(5)[98] == hr.view().row(5)[98]);
  CHECK(bicubic_reduce(hr, 3) == bicubic_reduce(cropped, 3));
}

TEST_CASE("bicubic refuses what it cannot do", "[data]") {
  const Image image = noise_image(8, 2, 1);
  CHECK_THROWS_AS(bicubic_reduce(image, 3), DataError);
  CHECK_THROWS_AS(bicubic_reduce(image, 0), ConfigError);
  CHECK_THROWS_AS(bicubic_enlarge(image, 9), ConfigError);
  CHECK_THROWS_AS(bicubic_enlarge(Image(), 2), DataError);
  CHECK_THROWS_AS(parse_border("wrap"), ConfigError);
  CHECK(parse_border(border_name(Border::kReplicate)) == Border::kReplicate);
}

}  // namespace
}  // namespace gridstep::test
