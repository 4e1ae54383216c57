// What kernels call: the part of CUDA C++ that the harness knows, with CUDA's names and meaning. Approximate intrinsics
// are left out, as kernels may not use them. Included by simt.h.
#pragma once

#include "simt.h"

// ---- block -----------------------------------------------------------------------------------------------------

inline void __syncthreads(SIMT_SITE) { simt::rt::barrier(simt::rt::Vote::kNone, 0, SIMT_HERE); }
inline int __syncthreads_count(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kCount, p, SIMT_HERE); }
inline int __syncthreads_and(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kAll, p, SIMT_HERE); }
inline int __syncthreads_or(int p, SIMT_SITE) { return simt::rt::barrier(simt::rt::Vote::kAny, p, SIMT_HERE); }
inline void __threadfence() { simt::rt::fence(); }
inline void __threadfence_block() { simt::rt::fence(); }
inline void __threadfence_system() { simt::rt::fence(); }
[[noreturn]] inline void __trap(SIMT_SITE) { simt::rt::fail("__trap", SIMT_HERE); }

// ---- warp ------------------------------------------------------------------------------------------------------

namespace simt::rt {

template <class T>
std::uint64_t bits_of(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "warp functions take types of up to 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class To, class From>
To same_bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(static_cast<void*>(&to), &value, sizeof to);
  return to;
}

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int argument, int width, Site site) {
  const std::uint64_t bits = warp(op, mask, bits_of(value), argument, width, site);
  std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
  return value;
}

// On unsigned and int. The sign bit is turned so that unsigned order is the type's order.
template <class T>
T reduce(WarpOp op, unsigned mask, T value, Site site) {
  static_assert(std::is_same_v<T, unsigned> || std::is_same_v<T, int>, "warp reductions take int and unsigned");
  const bool ordered = op == WarpOp::kReduceMin || op == WarpOp::kReduceMax;
  const unsigned turn = std::is_signed_v<T> && ordered ? 0x80000000u : 0u;
  return static_cast<T>(static_cast<unsigned>(warp(op, mask, static_cast<unsigned>(value) ^ turn, 0, 32, site)) ^ turn);
}

}  // namespace simt::rt

inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  simt::rt::warp(simt::rt::WarpOp::kSync, mask, 0, 0, 32, SIMT_HERE);
}
template <class T>
T __shfl_sync(unsigned mask, T v, int lane, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffle, mask, v, lane, width, SIMT_HERE);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleUp, mask, v, static_cast<int>(delta), width, SIMT_HERE);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleDown, mask, v, static_cast<int>(delta), width, SIMT_HERE);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, SIMT_SITE) {
  return simt::rt::shuffle(simt::rt::WarpOp::kShuffleXor, mask, v, lanes, width, SIMT_HERE);
}
inline unsigned __ballot_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<unsigned>(simt::rt::warp(simt::rt::WarpOp::kBallot, mask, p != 0, 0, 32, SIMT_HERE));
}
inline int __any_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<int>(simt::rt::warp(simt::rt::WarpOp::kAny, mask, p != 0, 0, 32, SIMT_HERE));
}
inline int __all_sync(unsigned mask, int p, SIMT_SITE) {
  return static_cast<int>(simt::rt::warp(simt::rt::WarpOp::kAll, mask, p != 0, 0, 32, SIMT_HERE));
}
template <class T>
unsigned __match_any_sync(unsigned mask, T v, SIMT_SITE) {
  const std::uint64_t bits = simt::rt::bits_of(v);
  return static_cast<unsigned>(simt::rt::warp(simt::rt::WarpOp::kMatchAny, mask, bits, 0, 32, SIMT_HERE));
}
template <class T>
unsigned __match_all_sync(unsigned mask, T v, int* all, SIMT_SITE) {
  const std::uint64_t bits = simt::rt::bits_of(v);
  const auto lanes = static_cast<unsigned>(simt::rt::warp(simt::rt::WarpOp::kMatchAll, mask, bits, 0, 32, SIMT_HERE));
  *all = lanes != 0 ? 1 : 0;
  return lanes;
}
template <class T>
T __reduce_add_sync(unsigned mask, T v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceAdd, mask, v, SIMT_HERE);
}
template <class T>
T __reduce_min_sync(unsigned mask, T v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceMin, mask, v, SIMT_HERE);
}
template <class T>
T __reduce_max_sync(unsigned mask, T v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceMax, mask, v, SIMT_HERE);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceAnd, mask, v, SIMT_HERE);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceOr, mask, v, SIMT_HERE);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return simt::rt::reduce(simt::rt::WarpOp::kReduceXor, mask, v, SIMT_HERE);
}

// ---- atomics: relaxed, as on the device; fences order them -----------------------------------------------------

namespace simt::rt {

template <class T, class F>
T update_atomically(T* p, F next) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);
  using Wide = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t, Wide>;
  before_atomic(p);
  auto* const word = reinterpret_cast<Bits*>(p);
  Bits seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    const T old = same_bits<T>(seen);
    const Bits wanted = same_bits<Bits>(static_cast<T>(next(old)));
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      after_atomic(p);
      return old;
    }
  }
}

// Integer sums wrap, as on the device.
template <class T>
T wrapping_sum(T a, T b, bool subtract) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    const auto x = static_cast<U>(a), y = static_cast<U>(b);
    return static_cast<T>(subtract ? x - y : x + y);
  } else {
    return subtract ? a - b : a + b;
  }
}

}  // namespace simt::rt

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return simt::rt::wrapping_sum(old, v, false); });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return simt::rt::wrapping_sum(old, v, true); });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T) { return v; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return v < old ? v : old; });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return old < v ? v : old; });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return old & v; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return old | v; });
}
template <class T>
T atomicXor(T* p, std::type_identity_t<T> v) {
  return simt::rt::update_atomically(p, [v](T old) { return old ^ v; });
}
inline unsigned atomicInc(unsigned* p, unsigned v) {
  return simt::rt::update_atomically(p, [v](unsigned old) { return old >= v ? 0u : old + 1u; });
}
inline unsigned atomicDec(unsigned* p, unsigned v) {
  return simt::rt::update_atomically(p, [v](unsigned old) { return old == 0 || old > v ? v : old - 1u; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  using simt::rt::bits_of;
  return simt::rt::update_atomically(p, [=](T old) { return bits_of(old) == bits_of(expected) ? v : old; });
}

// ---- loads and stores ------------------------------------------------------------------------------------------

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
// A volatile access: one that may meet another thread's atomic.
template <class T>
T __ldcv(const T* p) {
  T value;
  __atomic_load(p, &value, __ATOMIC_RELAXED);
  return value;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> v) {
  *p = v;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> v) {
  *p = v;
}
template <class T>
void __stwb(T* p, std::type_identity_t<T> v) {
  *p = v;
}

// ---- arithmetic ------------------------------------------------------------------------------------------------

inline int __float_as_int(float x) { return simt::rt::same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return simt::rt::same_bits<unsigned>(x); }
inline float __int_as_float(int x) { return simt::rt::same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return simt::rt::same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return simt::rt::same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return simt::rt::same_bits<double>(x); }

// Not contracted: the host copy is compiled with -ffp-contract=off.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }

// Conversions saturate, and NaN gives 0.
inline int __float2int_rz(float x) {
  if (!(x == x)) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  return x < -2147483648.0f ? -2147483647 - 1 : static_cast<int>(x);
}
inline int __float2int_rn(float x) { return __float2int_rz(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned pick = selector >> (4 * i) & 0xfu;
    auto byte = static_cast<unsigned>(bytes >> (8 * (pick & 7u))) & 0xffu;
    if ((pick & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xffu : 0u;
    result |= byte << (8 * i);
  }
  return result;
}
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i) {
    const int product = static_cast<std::int8_t>(a >> (8 * i)) * static_cast<std::int8_t>(b >> (8 * i));
    c = simt::rt::wrapping_sum(c, product, false);
  }
  return c;
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  static_assert(std::is_arithmetic_v<A> && std::is_arithmetic_v<B>);
  return a < b ? b : a;
}
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  static_assert(std::is_arithmetic_v<A> && std::is_arithmetic_v<B>);
  return b < a ? b : a;
}
