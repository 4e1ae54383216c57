// Rounding to bfloat16, against the nearest value found in double.
#include "kernels/common/bfloat16.h"

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/bind.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

// Of the two neighbours the nearer one, or the one whose last bit is 0. Beyond the largest value lies 2^128.
std::uint16_t nearest(float x) {
  const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);  // towards zero
  const auto above = static_cast<std::uint16_t>(below + 1);
  const auto value = [](std::uint16_t bits) {
    const auto f = static_cast<double>(to_float({bits}));
    return std::isinf(f) ? std::copysign(std::ldexp(1.0, 128), f) : f;
  };
  const double to_below = std::fabs(static_cast<double>(x) - value(below)),
               to_above = std::fabs(static_cast<double>(x) - value(above));
  if (to_below == to_above) return below % 2 == 0 ? below : above;
  return to_below < to_above ? below : above;
}

}  // namespace

TEST_CASE("bfloat16 rounds to the nearest value, ties to even", "[kernels]") {
  std::mt19937 random(5);
  std::vector<float> values{0.0f,
                            -0.0f,
                            1.0f,
                            std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::lowest(),
                            std::numeric_limits<float>::min(),
                            std::numeric_limits<float>::denorm_min(),
                            -std::numeric_limits<float>::denorm_min()};
  for (int i = 0; i < 200000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    if (i % 4 == 1) bits = (bits & 0xffff0000u) | 0x8000u;  // a tie
    if (i % 4 == 2) bits = (bits & 0xffff0000u) | (i % 8 == 2 ? 0x7fffu : 0x8001u);
    const auto x = std::bit_cast<float>(bits);
    if (std::isfinite(x)) values.push_back(x);
  }
  std::vector<Bf16> got(values.size());
  convert(values.data(), static_cast<Index>(values.size()), got.data());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) wrong += got[i].bits == nearest(values[i]) ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("bfloat16 keeps NaN and infinity", "[kernels]") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(to_float(to_bf16(inf)) == inf);
  CHECK(to_float(to_bf16(-inf)) == -inf);
  for (const std::uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu, 0x7fc00000u}) {
    CHECK(std::isnan(to_float(to_bf16(std::bit_cast<float>(bits)))));
  }
}

TEST_CASE("codes of eight bits are exact in bfloat16", "[kernels]") {
  for (int q = -128; q <= 255; ++q) {
    CHECK(to_float(to_bf16(static_cast<float>(q))) == static_cast<float>(q));
    Bf16 out{};
    if (q >= 0) {
      const auto code = static_cast<std::uint8_t>(q);
      convert(&code, 1, &out);
      CHECK(to_float(out) == static_cast<float>(q));
    }
    if (q <= 127) {
      const auto code = static_cast<std::int8_t>(q);
      convert(&code, 1, &out);
      CHECK(to_float(out) == static_cast<float>(q));
    }
  }
}

TEST_CASE("scaled conversion takes the factors in turn, for any length", "[kernels]") {
  for (const Index period : {1, 3, 8, 27, 64}) {
    const auto factors = test::normal_values(period, 3);
    for (const Index n : {0, 1, 7, 27, 64, 100, 193}) {
      const auto x = test::normal_values(n, 4);
      std::vector<Bf16> got(static_cast<std::size_t>(n) + 1, Bf16{0xabcd});
      convert_scaled(x.data(), n, factors.data(), period, got.data());
      for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        CHECK(got[at].bits == to_bf16(x[at] * factors[static_cast<std::size_t>(i % period)]).bits);
      }
      CHECK(got.back().bits == 0xabcd);
    }
  }
}
