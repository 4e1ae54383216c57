#include "kernels/conv2d/conv_choice.h"

#include <array>
#include <limits>

#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr std::int64_t kExactFloat = std::int64_t{1} << 24;  // integers up to here are exact in float32
constexpr std::int64_t kExactInt = std::numeric_limits<std::int32_t>::max();
constexpr Index kMostPixels = Index{1} << 30;

// One shape class: terms of a sum, filters, and output pixels of all replicas, each at least so many.
struct ShapeClass {
  Index depth, filters, pixels;

  bool holds(const ConvGeometry& g, int replicas) const {
    return g.r * g.s * g.c >= depth && g.k >= filters && g.n * g.p * g.q * replicas >= pixels;
  }
};

// The first class that holds decides. `measured`: the device whose recorded measurement (docs/benchmarks/<device>) the
// row rests on; empty: none was taken, and the row follows from the reasons beside it.
struct TileRow {
  ShapeClass shape;
  GemmChoice choice;
  const char* measured;
};

// Large tiles read each operand less often, small ones give every multiprocessor of a GPU (108 to 132) something to do.
// int8 throughout: half the multiplications of bf16 and no conversion of operands.
constexpr Index kFills = Index{132} * 128;
constexpr TileRow kTiles[] = {
    {{0, 128, kFills}, {GemmTile::k128x128, GemmArithmetic::kInt8}, ""},
    {{0, 33, kFills}, {GemmTile::k128x64, GemmArithmetic::kInt8}, ""},
    {{0, 0, 0}, {GemmTile::k64x32, GemmArithmetic::kInt8}, ""},
};

// Shape classes that go to cuDNN where the choice is free. None is known: cuDNN needs the codes as float32 (four times
// the bytes), a call per replica, and launches before and after, so it would have to win by its main loop alone.
struct CudnnRow {
  ShapeClass shape;
  const char* measured;
};
constexpr std::array<CudnnRow, 0> kCudnn{};

bool bf16_is_exact(const Conv2dAttrs& attrs, const ConvGeometry& g, DType x) {
  return largest_sum(attrs, g, x) <= kExactFloat;
}

}  // namespace

std::int64_t largest_sum(const Conv2dAttrs& attrs, const ConvGeometry& g, DType x) {
  const std::int64_t largest_x = attrs.largest_x != 0 ? attrs.largest_x : (x == DType::kU8 ? 255 : 128);
  const std::int64_t largest_w = attrs.largest_w != 0 ? attrs.largest_w : 128;
  return g.r * g.s * g.c * largest_x * largest_w;
}

bool uses_own_conv(const Conv2dAttrs& attrs, const ConvGeometry& g, DType x) {
  if (x == DType::kF32 || attrs.engine == ConvEngine::kCudnn) return false;
  const std::int64_t sum = largest_sum(attrs, g, x);
  const Index pixels = g.n * g.p * g.q;
  if (sum > kExactInt || pixels > kMostPixels) {
    if (attrs.engine == ConvEngine::kAuto) return false;
    fail<ConfigError>(
        "run.conv = own cannot compute {} output pixels with sums up to {}: it counts to {} pixels and adds in int32; "
        "leave run.conv at auto, or take cudnn",
        pixels, sum, kMostPixels);
  }
  if (attrs.engine == ConvEngine::kOwn) return true;
  for (const CudnnRow& row : kCudnn) {
    if (row.shape.holds(g, 1)) return false;
  }
  return true;
}

GemmChoice choose_gemm(const Conv2dAttrs& attrs, const ConvGeometry& g, DType x, int replicas) {
  if (attrs.gemm) {
    if (attrs.gemm->arithmetic == GemmArithmetic::kBf16 && !bf16_is_exact(attrs, g, x)) {
      fail<ConfigError>("bf16 adds exactly up to 2^24, and sums of this convolution reach {}: take int8",
                        largest_sum(attrs, g, x));
    }
    return *attrs.gemm;
  }
  for (const TileRow& row : kTiles) {
    if (!row.shape.holds(g, replicas)) continue;
    if (row.choice.arithmetic == GemmArithmetic::kBf16 && !bf16_is_exact(attrs, g, x)) continue;
    return row.choice;
  }
  return {};
}

}  // namespace gridstep
