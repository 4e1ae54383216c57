#include "data/synthetic.h"

#include <set>

#include "data/bicubic.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

std::string checksum(const Image& image) { return hex(hash128(image.pixels.data(), image.pixels.size())); }

TEST_CASE("dead leaves are the same bits everywhere", "[data]") {
  CHECK(checksum(dead_leaves(64, 96, 7, 3)) == "d7904b5a4e121dd54c3395100458e15e");
  CHECK(checksum(dead_leaves(192, 192, 0, kSyntheticValFirstId)) == "23a1f02c9d6d597b453b5a40bba558a4");
}

TEST_CASE("dead leaves differ by seed and id", "[data]") {
  std::set<std::string> sums;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 40})
    for (const std::uint32_t id : {0u, 1u, kSyntheticValFirstId}) sums.insert(checksum(dead_leaves(48, 48, seed, id)));
  CHECK(sums.size() == 9);
}

double mean_square(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += (a.pixels[i] - b.pixels[i]) * (a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

TEST_CASE("dead leaves hold detail that a reduction loses, and flat areas that it keeps", "[data]") {
  const Image image = dead_leaves(192, 192, 0, 0);
  const double error = mean_square(bicubic_enlarge(bicubic_reduce(image, 3), 3), image);
  CHECK(error > 60);    // PSNR below 30 dB: something is left to learn
  CHECK(error < 1200);  // above 17 dB: not noise
}

TEST_CASE("dead leaves of any size, and sizes refused", "[data]") {
  for (const auto& [h, w] : {std::pair{1, 1}, std::pair{3, 200}, std::pair{17, 5}}) {
    const Image image = dead_leaves(h, w, 1, 1);
    CHECK(image.height == h);
    CHECK(image.width == w);
    CHECK(image.channels == 3);
  }
  CHECK_THROWS_AS(dead_leaves(0, 4, 0, 0), ConfigError);
  CHECK_THROWS_AS(dead_leaves(4, 5000, 0, 0), ConfigError);
  CHECK(synthetic_val_images(40) == 8);
  CHECK(synthetic_val_images(1) == 2);
}

}  // namespace
}  // namespace gridstep::test
