// Which code computes a convolution on codes on CUDA, and the division that the own kernel counts with.
#include "engine/base/error.h"
#include "kernels/common/divider.h"
#include "kernels/conv2d/conv_choice.h"
#include "tests/support/catch.h"

using namespace gridstep;

namespace {

ConvGeometry geometry(Index n, Index size, Index c, Index k) {
  return conv_geometry({n, size, size, c}, {k, 3, 3, c}, 1, 1);
}

}  // namespace

TEST_CASE("codes go to the own kernel unless cuDNN is asked for", "[kernels]") {
  const ConvGeometry g = geometry(16, 17, 64, 32);
  Conv2dAttrs attrs;
  CHECK(uses_own_conv(attrs, g, DType::kU8));
  CHECK_FALSE(uses_own_conv(attrs, g, DType::kF32));
  attrs.engine = ConvEngine::kCudnn;
  CHECK_FALSE(uses_own_conv(attrs, g, DType::kS8));
}

TEST_CASE("sums beyond int32 are cuDNN's, and refused where the own kernel is asked for", "[kernels]") {
  const ConvGeometry g = geometry(1, 3, 8192, 8);  // 73 728 terms of 255 * 128
  Conv2dAttrs attrs;
  CHECK(largest_sum(attrs, g, DType::kU8) == 9ll * 8192 * 255 * 128);
  CHECK_FALSE(uses_own_conv(attrs, g, DType::kU8));
  attrs.engine = ConvEngine::kOwn;
  CHECK_THROWS_AS(uses_own_conv(attrs, g, DType::kU8), ConfigError);
  attrs.largest_x = 15;  // 4 bits are known to stay below
  CHECK(uses_own_conv(attrs, g, DType::kU8));
}

TEST_CASE("tiles grow with the work, and bf16 is refused where it is inexact", "[kernels]") {
  const auto tile = [](const ConvGeometry& g, int replicas) { return choose_gemm({}, g, DType::kU8, replicas).tile; };
  CHECK(tile(geometry(1, 17, 64, 64), 1) == GemmTile::k64x32);
  CHECK(tile(geometry(1, 17, 64, 64), 100) == GemmTile::k128x64);
  CHECK(tile(geometry(128, 28, 64, 128), 1) == GemmTile::k128x128);
  CHECK(tile(geometry(128, 28, 64, 27), 1) == GemmTile::k64x32);

  Conv2dAttrs attrs;
  attrs.gemm = GemmChoice{GemmTile::k128x64, GemmArithmetic::kBf16};
  const ConvGeometry g = geometry(1, 17, 64, 64);  // 576 terms
  CHECK_THROWS_AS(choose_gemm(attrs, g, DType::kU8, 1), ConfigError);
  attrs.largest_w = 114;  // 576 * 114 * 255 < 2^24
  CHECK(choose_gemm(attrs, g, DType::kU8, 1) == *attrs.gemm);
  attrs.largest_w = 115;
  CHECK_THROWS_AS(choose_gemm(attrs, g, DType::kU8, 1), ConfigError);
}

TEST_CASE("a divider divides exactly", "[kernels]") {
  constexpr int kMost = 0x7fffffff;
  for (const int d : {1, 2, 3, 5, 7, 27, 64, 75, 289, 641, 4608, 65535, 65537, 1 << 20, (1 << 30) - 1, 1 << 30}) {
    const Divider divider(d);
    for (const int q : {0, 1, 2, 100, kMost / d - 1, kMost / d}) {
      if (q < 0) continue;
      const std::int64_t base = std::int64_t{q} * d;
      for (std::int64_t n = base - 2; n <= base + 2; ++n) {
        if (n < 0 || n > kMost) continue;
        REQUIRE(divider.divide(static_cast<int>(n)) == static_cast<int>(n) / d);
      }
    }
    REQUIRE(divider.divide(kMost) == kMost / d);
  }
  CHECK_THROWS_AS(Divider(0), Error);
}
