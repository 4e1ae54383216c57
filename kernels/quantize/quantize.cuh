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

// The elements first .. first + 3 of n; those beyond the end raise no fault.
template <FusedActivation A, class Out>
__device__ __forceinline__ Pack4<Out> encode_up_to4(const Pack4<float>& x, Index first, Index n, float s,
                                                    CodeLimits limits, bool& bad) {
  Pack4<Out> out;
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    bool nan = false;
    out.v[l] = encode<A, Out>(x.v[l], s, limits, nan);
    bad |= nan && first + l < n;
  }
  return out;
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
