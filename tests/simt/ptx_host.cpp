// Matrix instructions on the registers of 32 lanes. Layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating
// point type", "Matrix Fragments for mma.m16n8k32", "ldmatrix".
#include "ptx_host.h"

namespace simt::rt {
namespace {

constexpr int kLanes = 32, kRows = 16, kColumns = 8;

float bf16_at(unsigned reg, int i) {
  const unsigned bits = (reg >> (16 * i) & 0xffffu) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
int s8_at(unsigned reg, int i) { return static_cast<std::int8_t>(reg >> (8 * i) & 0xffu); }
int u8_at(unsigned reg, int i) { return static_cast<std::uint8_t>(reg >> (8 * i) & 0xffu); }

// PerReg elements lie in a register; the tile is as deep as eight registers' worth. Products and sums are exact in Sum,
// except that double rounds sums of bf16 products whose magnitudes differ by more than 2^37 or so.
template <int PerReg, class D, class Sum, class A, class B>
void multiply(void* const* lanes, A a_at, B b_at) {
  constexpr int kDepth = 8 * PerReg;
  Sum a[kRows][kDepth], b[kDepth][kColumns];
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& in = *static_cast<const MmaLane*>(lanes[lane]);
    const int group = lane / 4, first = lane % 4 * PerReg;
    for (int i = 0; i < PerReg; ++i) {
      for (int r = 0; r < 4; ++r) {
        a[group + r % 2 * 8][first + i + r / 2 * 4 * PerReg] = static_cast<Sum>(a_at(in.a[r], i));
      }
      for (int r = 0; r < 2; ++r) b[first + i + r * 4 * PerReg][group] = static_cast<Sum>(b_at(in.b[r], i));
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* const d = static_cast<D*>(static_cast<const MmaLane*>(lanes[lane])->d);
    for (int i = 0; i < 4; ++i) {
      auto sum = static_cast<Sum>(d[i]);
      for (int k = 0; k < kDepth; ++k) sum += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
      d[i] = static_cast<D>(sum);
    }
  }
}

void spread(void* const* lanes, bool transposed) {
  for (int lane = 0; lane < kLanes; ++lane) {
    auto& out = *static_cast<LdmatrixLane*>(lanes[lane]);
    for (int m = 0; m < 4; ++m) {
      std::uint16_t halves[2];
      for (int i = 0; i < 2; ++i) {
        const int along = lane % 4 * 2 + i, across = lane / 4;
        const int row = transposed ? along : across, column = transposed ? across : along;
        std::memcpy(&halves[i], static_cast<const LdmatrixLane*>(lanes[8 * m + row])->row + 2 * column, 2);
      }
      out.r[m] = halves[0] | static_cast<unsigned>(halves[1]) << 16;
    }
  }
}

}  // namespace

void mma_bf16(void* const* lanes) { multiply<2, float, double>(lanes, bf16_at, bf16_at); }
void mma_s8(void* const* lanes) { multiply<4, int, std::int64_t>(lanes, s8_at, s8_at); }
void mma_u8s8(void* const* lanes) { multiply<4, int, std::int64_t>(lanes, u8_at, s8_at); }
void ldmatrix(void* const* lanes) { spread(lanes, false); }
void ldmatrix_trans(void* const* lanes) { spread(lanes, true); }

}  // namespace simt::rt
