// The comparisons of the tests can fail.
#include <limits>
#include <vector>

#include "tests/support/compare.h"

using namespace gridstep::test;

TEST_CASE("comparisons reject NaN, sizes, infinities and small differences", "[support]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<float> one{1.0f};
  CHECK(compare(one, one, {}).ok);
  CHECK_FALSE(compare(std::vector{nan}, one, {.abs = 1e9}).ok);
  CHECK_FALSE(compare(one, std::vector{nan}, {.abs = 1e9}).ok);
  CHECK_FALSE(compare(std::vector{nan}, std::vector{nan}, {.abs = 1e9}).ok);
  CHECK_FALSE(compare(std::vector{inf}, one, {.abs = 1e9, .rel = 1e9}).ok);
  CHECK_FALSE(compare(std::vector{inf}, std::vector{-inf}, {.abs = 1e9}).ok);
  CHECK(compare(std::vector{inf}, std::vector{inf}, {}).ok);
  CHECK_FALSE(compare(one, std::vector<float>{}, {.abs = 1e9}).ok);
  CHECK_FALSE(compare(std::vector{1.0f, 2.2f}, std::vector{1.0f, 2.0f}, {.rel = 0.05}).ok);
  CHECK(compare(std::vector{1.0f, 2.2f}, std::vector{1.0f, 2.0f}, {.rel = 0.05}).index == 1);
  CHECK(compare(std::vector{1.0f, 2.2f}, std::vector{1.0f, 2.0f}, {.rel = 0.2}).ok);
  CHECK_FALSE(compare_exact(std::vector{1.0f}, std::vector{1.0000001f}).ok);
  CHECK(compare_exact(std::vector{0.0f}, std::vector{-0.0f}).ok);
  CHECK_FALSE(compare_bits(std::vector{0.0f}, std::vector{-0.0f}).ok);
  CHECK(compare_bits(std::vector{nan}, std::vector{nan}).ok);
}
