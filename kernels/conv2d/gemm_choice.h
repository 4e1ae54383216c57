// The variants of the own convolution on CUDA (implicit_gemm.h). All give the same bits.
#pragma once

namespace gridstep {

// Output pixels x filters that a block computes. Operands that are gathered byte by byte take 128x64 at most.
enum class GemmTile { k64x32, k128x64, k128x128 };

// kInt8 multiplies codes and adds in int32. kBf16 carries codes as bf16 and adds in float32, which is exact while no
// sum can leave +-2^24.
enum class GemmArithmetic { kInt8, kBf16 };

struct GemmChoice {
  GemmTile tile = GemmTile::k64x32;
  GemmArithmetic arithmetic = GemmArithmetic::kInt8;
  bool operator==(const GemmChoice&) const = default;
};

}  // namespace gridstep
