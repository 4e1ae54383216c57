// Philox4x32-10: the known answers of its authors' library (Random123, kat_vectors), and the distributions built on it.
#include "engine/base/philox.h"

#include <set>
#include <vector>

#include "tests/support/catch.h"

using namespace gridstep;

namespace {

std::vector<std::uint32_t> draw(std::uint64_t seed, std::uint32_t purpose, std::uint32_t epoch, std::uint64_t index) {
  const Philox4 r = philox({seed, static_cast<Purpose>(purpose), epoch}, index);
  return {r.v, r.v + 4};
}

using Words = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("philox gives the known answers", "[base]") {
  // Counter words 0 to 3: index low, index high, epoch, purpose. Key words: seed low, seed high.
  CHECK(draw(0, 0, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(draw(0xffffffffffffffff, 0xffffffff, 0xffffffff, 0xffffffffffffffff) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(draw(0x299f31d0a4093822, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("every part of the key and the counter matters", "[base]") {
  std::set<Words> seen;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32}) {
    for (const std::uint32_t purpose : {1u, 2u}) {
      for (const std::uint32_t epoch : {0u, 1u}) {
        for (const std::uint64_t index : {0ull, 1ull, 1ull << 32}) seen.insert(draw(seed, purpose, epoch, index));
      }
    }
  }
  CHECK(seen.size() == 36);
}

TEST_CASE("uniform numbers stay below their bound and reach both ends", "[base]") {
  CHECK(uniform01(0) == 0.0f);
  CHECK(uniform01(0xffffffff) == 1.0f - 1.0f / 16777216.0f);
  CHECK(uniform_below(0, 7) == 0);
  CHECK(uniform_below(0xffffffff, 7) == 6);
  CHECK(uniform_below(0xffffffff, 0xffffffff) == 0xfffffffe);
  for (const std::uint64_t n :
       {1ull, 2ull, 7ull, 0xffffffffull, 1ull << 32, (1ull << 32) + 1, 123456789012345ull, ~0ull}) {
    CHECK(uniform_below64(0, 0, n) == 0);
    CHECK(uniform_below64(0xffffffff, 0xffffffff, n) == n - 1);
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const Philox4 r = philox({n, Purpose::kTest, 0}, i);
      // The high word of the 128-bit product.
      __extension__ using Wide = unsigned __int128;
      const std::uint64_t u = static_cast<std::uint64_t>(r.v[0]) << 32 | r.v[1];
      REQUIRE(uniform_below64(r.v[0], r.v[1], n) == static_cast<std::uint64_t>(static_cast<Wide>(u) * n >> 64));
    }
  }
}

TEST_CASE("draws are evenly spread", "[base]") {
  int counts[10] = {};
  for (std::uint64_t i = 0; i < 100000; ++i) ++counts[uniform_below(philox({1, Purpose::kTest, 0}, i).v[i % 4], 10)];
  for (const int c : counts) CHECK(std::abs(c - 10000) < 475);  // five standard deviations
}
