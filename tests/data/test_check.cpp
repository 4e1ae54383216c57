#include "data/check.h"

#include "data/codecs/encode.h"
#include "engine/base/error.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

TEST_CASE("a folder of good pictures passes", "[data]") {
  const TemporaryFolder folder;
  write_png(folder / "-dash.png", noise_image(4, 4, 1));
  write_bytes(folder / "deeper/photo.JPG", jpeg(gradient_image(8, 8, 3)));
  write_bytes(folder / "deeper/._photo.jpg", "AppleDouble");
  write_bytes(folder / "Thumbs.db", "cache");
  const CheckReport report = check_path(folder.path());
  CHECK(report.ok());
  CHECK(report.files.size() == 2);
  CHECK(report.passed_over == 2);
}

TEST_CASE("every bad picture is named with its fault", "[data]") {
  const TemporaryFolder folder;
  write_png(folder / "good.png", noise_image(10, 10, 3));
  write_bytes(folder / "a.png", encode_png(noise_image(10, 10, 3)).substr(0, 100));
  write_bytes(folder / "b.jpg", "");
  write_bytes(folder / "c.gif", "GIF89a");
  fs::create_symlink(folder / "gone", folder / "d.png");
  const CheckReport report = check_path(folder.path());
  CHECK_FALSE(report.ok());
  CHECK(report.files.size() == 5);
  const std::vector<CheckedFile> bad = report.bad();
  REQUIRE(bad.size() == 4);
  CHECK(bad[0].path.filename() == "a.png");
  CHECK_THAT(bad[0].fault, Catch::Contains("damaged PNG"));
  CHECK(bad[1].fault == "the file is empty");
  CHECK_THAT(bad[2].fault, Catch::Contains("GIF"));
  CHECK(bad[3].fault == "no such file");
}

TEST_CASE("one file is checked whatever its name, and pixels are limited", "[data]") {
  const TemporaryFolder folder;
  write_bytes(folder / "picture", encode_png(noise_image(10, 10, 3)));
  CHECK(check_path(folder / "picture").ok());
  CHECK(check_path(folder / "picture", 100).ok());
  const CheckReport report = check_path(folder / "picture", 99);
  CHECK_FALSE(report.ok());
  CHECK_THAT(report.files.at(0).fault, Catch::Contains("10 x 10"));
}

TEST_CASE("nothing to check is not ok, and a missing path is an error", "[data]") {
  const TemporaryFolder folder;
  CHECK_FALSE(check_path(folder.path()).ok());
  CHECK_THROWS_AS(check_path(folder / "none"), DataError);
}

}  // namespace
}  // namespace gridstep::test
