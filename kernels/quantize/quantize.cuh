// Quantization of single values inside kernels: for the quantize op and for epilogues that quantize.
#pragma once

#include <cstdint>

#include "engine/device/cuda/vector.cuh"
#include "kernels/common/status.h"
#include "kernels/quantize/quantize_launch.h"
#include "kernels/quantize/quantizers/lsq.h"

namespace gridstep {

struct CodeLimits {
  float n, p;
};

inline CodeLimits code_limits(const QuantizeAttrs& attrs) {
  return {static_cast<float>(attrs.range.n), static_cast<float>(attrs.range.p)};
}

// Out: the type of the codes, or float for the fake form, which keeps NaN. Sets `nan` where a code cannot stand for x.
template <FusedActivation A, class Out>
__device__ __forceinline__ Out encode(float x, float s, CodeLimits limits, bool& nan) {
  const float q = Lsq::code(activate<A>(x), s, limits.n, limits.p);
  if constexpr (std::is_same_v<Out, float>) {
    return q * s;
  } else {
    const bool lost = strict::is_nan(q);
    nan |= lost;
    return static_cast<Out>(static_cast<int>(lost ? 0.0f : q));
  }
}

// The elements first .. first + 3 of n; those before 0 and beyond the end raise no fault.
template <FusedActivation A, class Out>
__device__ __forceinline__ Pack4<Out> encode_up_to4(const Pack4<float>& x, Index first, Index n, float s,
                                                    CodeLimits limits, bool& bad) {
  Pack4<Out> out;
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    bool nan = false;
    out.v[l] = encode<A, Out>(x.v[l], s, limits, nan);
    bad |= nan && first + l >= 0 && first + l < n;
  }
  return out;
}

// Where codes go, and of which kind: the same for a whole launch, so that branches cost less than a kernel for each.
struct CodeTarget {
  Strided<std::byte> codes;  // of the type that the quantizer asks for
  bool fake;
  bool packs;  // four neighbouring codes may be written at once
  CodeLimits limits;
};

inline CodeTarget code_target(const QuantizeAttrs& attrs, const Tensor& codes) {
  const bool packs =
      attrs.fake ? packs_are_aligned(strided<float>(codes)) : packs_are_aligned(strided<std::uint8_t>(codes));
  return {strided<std::byte>(codes), attrs.fake, packs, code_limits(attrs)};
}

// Codes of n <= 4 neighbouring values, the first at `first`.
__device__ __forceinline__ void store_codes(const CodeTarget& to, unsigned replica, Index first, Index n, bool packs,
                                            const Pack4<float>& values, float step, bool& bad) {
  constexpr FusedActivation kDone = FusedActivation::kNone;
  if (to.fake) {
    store_up_to4(reinterpret_cast<float*>(to.codes.at(replica)) + first, 0, n, packs,
                 encode_up_to4<kDone, float>(values, 0, n, step, to.limits, bad));
  } else {  // a signed code's byte is that of an unsigned one
    store_up_to4(reinterpret_cast<std::uint8_t*>(to.codes.at(replica)) + first, 0, n, packs,
                 encode_up_to4<kDone, std::uint8_t>(values, 0, n, step, to.limits, bad));
  }
}

// Calls f with the activation and the output's type as template arguments.
template <class F>
void visit_encoding(const QuantizeAttrs& attrs, F&& f) {
  visit_activation(attrs.activation, [&]<FusedActivation A>() {
    if (attrs.fake) return f.template operator()<A, float>();
    if (attrs.code_type() == DType::kU8) return f.template operator()<A, std::uint8_t>();
    return f.template operator()<A, std::int8_t>();
  });
}

}  // namespace gridstep
