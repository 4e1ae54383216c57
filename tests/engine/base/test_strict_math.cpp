// exp, log and tanh within 2 ulp of double precision; exact cases, NaN, infinities; rounding to even.
#include "engine/base/strict_math.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

using namespace gridstep;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// |got - want| in units of the last place of the float nearest to want.
double ulps(float got, double want) {
  const auto nearest = static_cast<float>(want);
  if (!std::isfinite(got) || !std::isfinite(nearest)) return got == nearest ? 0.0 : HUGE_VAL;
  const double ulp =
      static_cast<double>(std::nextafter(std::fabs(nearest), kInf)) - static_cast<double>(std::fabs(nearest));
  return std::fabs(static_cast<double>(got) - want) / ulp;
}

// The worst error over every `stride`-th float of [from, to], both positive, and over their negatives where asked.
template <class F, class G>
double worst(float from, float to, std::uint32_t stride, bool negatives, F f, G exact) {
  double most = 0.0;
  for (std::uint32_t u = strict::float_to_bits(from); u <= strict::float_to_bits(to); u += stride) {
    const float x = strict::bits_to_float(u);
    most = std::max(most, ulps(f(x), exact(static_cast<double>(x))));
    if (negatives) most = std::max(most, ulps(f(-x), exact(-static_cast<double>(x))));
  }
  return most;
}

}  // namespace

TEST_CASE("exp is within 2 ulp", "[base]") {
  const auto exact = [](double x) { return std::exp(x); };
  CHECK(worst(1e-30f, 1e-3f, 9973, true, strict::exp, exact) <= 2.0);
  CHECK(worst(1e-3f, 87.3f, 97, true, strict::exp, exact) <= 2.0);
  CHECK(worst(87.3f, 88.72283f, 1, false, strict::exp, exact) <= 2.0);
  CHECK(strict::exp(0.0f) == 1.0f);
  CHECK(strict::exp(-0.0f) == 1.0f);
  CHECK(strict::exp(89.0f) == kInf);
  CHECK(strict::exp(kInf) == kInf);
  CHECK(strict::exp(-100.0f) == 0.0f);
  CHECK(strict::exp(-kInf) == 0.0f);
  CHECK(std::isnan(strict::exp(kNan)));
}

TEST_CASE("log is within 2 ulp", "[base]") {
  const auto exact = [](double x) { return std::log(x); };
  CHECK(worst(0.5f, 2.0f, 13, false, strict::log, exact) <= 2.0);
  CHECK(worst(1.17549435e-38f, 3.4e38f, 1999, false, strict::log, exact) <= 2.0);
  CHECK(worst(std::numeric_limits<float>::denorm_min(), 1.17e-38f, 997, false, strict::log, exact) <= 2.0);
  CHECK(strict::log(1.0f) == 0.0f);
  CHECK(strict::log(0.0f) == -kInf);
  CHECK(strict::log(kInf) == kInf);
  CHECK(std::isnan(strict::log(-1.0f)));
  CHECK(std::isnan(strict::log(kNan)));
}

TEST_CASE("tanh is within 2 ulp, odd and bounded", "[base]") {
  const auto exact = [](double x) { return std::tanh(x); };
  CHECK(worst(1e-30f, 1e-3f, 9973, true, strict::tanh, exact) <= 2.0);
  CHECK(worst(1e-3f, 30.0f, 61, true, strict::tanh, exact) <= 2.0);
  CHECK(strict::tanh(0.0f) == 0.0f);
  CHECK(strict::tanh(kInf) == 1.0f);
  CHECK(strict::tanh(-kInf) == -1.0f);
  CHECK(strict::tanh(3e38f) == 1.0f);
  CHECK(std::isnan(strict::tanh(kNan)));
  for (float x = 0.01f; x < 12.0f; x *= 1.01f) {
    REQUIRE(strict::tanh(-x) == -strict::tanh(x));
    REQUIRE(strict::tanh(x) <= 1.0f);
  }
}

TEST_CASE("log and exp are inverse to the accuracy of a float", "[base]") {
  for (float s = 1e-6f; s < 1e3f; s *= 1.003f) {
    const float back = strict::exp(strict::log(s));
    REQUIRE(std::fabs(back - s) <= 2e-6f * s);
  }
}

TEST_CASE("rounding, clamping and tests of bits", "[base]") {
  const float ties[][2] = {{0.5f, 0.0f},   {1.5f, 2.0f},   {2.5f, 2.0f},
                           {-0.5f, -0.0f}, {-1.5f, -2.0f}, {8388607.5f, 8388608.0f},
                           {1e30f, 1e30f}};
  for (const auto& [x, want] : ties) CHECK(strict::float_to_bits(strict::round_even(x)) == strict::float_to_bits(want));
  CHECK(strict::clamp(5.0f, -1.0f, 2.0f) == 2.0f);
  CHECK(strict::clamp(-kInf, -1.0f, 2.0f) == -1.0f);
  CHECK(strict::clamp(0.5f, -1.0f, 2.0f) == 0.5f);
  CHECK(std::isnan(strict::clamp(kNan, -1.0f, 2.0f)));
  CHECK(std::isnan(strict::round_even(kNan)));
  CHECK((strict::is_nan(kNan) && !strict::is_nan(kInf) && !strict::is_nan(0.0f)));
  CHECK((strict::is_finite(3.4e38f) && !strict::is_finite(kInf) && !strict::is_finite(-kInf) &&
         !strict::is_finite(kNan)));
  CHECK(strict::float_to_bits(strict::abs(-0.0f)) == 0);
  CHECK(strict::abs(-3.0f) == 3.0f);
  CHECK(std::isnan(strict::abs(kNan)));
}
