// From exact sums to what a convolution yields, for the kernels that end in it: values, and codes of a fused quantizer.
#pragma once

#include "kernels/conv2d/conv2d_cuda.h"
#include "kernels/quantize/quantize.cuh"

namespace gridstep {

// Null data: absent.
struct EpilogueArguments {
  Strided<const float> bias, x_step, w_step;
  bool w_step_per_channel;
  Strided<float> y;
  Strided<std::byte> codes;  // of the type that `quantize` asks for
  bool packs;                // y and codes may be written in packs of four
  int channels;
  bool quantized, fake;
  FusedActivation activation;
  Strided<const float> parameter;
  Strided<float> step;
  StepForm form;
  CodeLimits limits;
  const StepParams* params;
  ReplicaStatus* status;
  int node_index;
};

inline EpilogueArguments epilogue_arguments(const Recorder& recorder, const ConvEpilogue& e) {
  EpilogueArguments a{};
  a.bias = strided<const float>(e.bias);
  a.x_step = strided<const float>(e.x_step);
  a.w_step = strided<const float>(e.w_step);
  a.w_step_per_channel = e.w_step.data != nullptr && e.w_step.elements() > 1;
  a.y = strided<float>(e.y);
  a.codes = strided<std::byte>(e.codes);
  a.channels = static_cast<int>(e.channels);
  a.quantized = e.quantize.has_value();
  a.packs = packs_are_aligned(a.y);
  if (e.quantize) {
    a.activation = e.quantize->activation;
    a.fake = e.quantize->fake;
    a.packs = a.packs &&
              (a.fake ? packs_are_aligned(strided<float>(e.codes)) : packs_are_aligned(strided<std::uint8_t>(e.codes)));
    a.parameter = strided<const float>(e.parameter);
    a.step = strided<float>(e.step);
    a.form = e.quantize->form;
    a.limits = code_limits(*e.quantize);
  }
  a.params = recorder.params();
  a.status = recorder.status();
  a.node_index = recorder.node_index();
  return a;
}

// One rounded product or none, then one rounded addition or none.
__device__ __forceinline__ float finish_sum(const EpilogueArguments& a, unsigned replica, float sum, int channel) {
  // Adding -0 changes no bit of any number, and costs fewer registers than a branch.
  const float bias = a.bias.data != nullptr ? a.bias.at(replica)[channel] : -0.0f;
  if (a.x_step.data == nullptr) return sum + bias;
  const float s = *a.x_step.at(replica) * a.w_step.at(replica)[a.w_step_per_channel ? channel : 0];
  return sum * s + bias;
}

// The step of the fused quantizer, 0 where there is none; one thread of a replica stores it.
__device__ __forceinline__ float epilogue_step(const EpilogueArguments& a, unsigned replica, bool store) {
  if (!a.quantized) return 0.0f;
  const float step = step_value(*a.parameter.at(replica), a.form);
  if (store) *a.step.at(replica) = step;
  return step;
}

template <FusedActivation A>
__device__ __forceinline__ void activate4(Pack4<float>& values) {
#pragma unroll
  for (int l = 0; l < 4; ++l) values.v[l] = activate<A>(values.v[l]);
}

// Stores n of four neighbouring values and, where a quantizer follows, their codes; `first`: the place of the first in
// y. The quantizer's kind is the same for the whole launch: branches here cost less than a kernel for each.
__device__ __forceinline__ void store_outputs(const EpilogueArguments& a, unsigned replica, Index first, Index n,
                                              bool packs, Pack4<float> values, float step, bool& bad) {
  if (a.y.data != nullptr) store_up_to4(a.y.at(replica) + first, 0, n, packs, values);
  if (!a.quantized) return;
  if (a.activation == FusedActivation::kRelu) activate4<FusedActivation::kRelu>(values);
  if (a.activation == FusedActivation::kTanh) activate4<FusedActivation::kTanh>(values);
  constexpr FusedActivation kDone = FusedActivation::kNone;
  if (a.fake) {
    float* const to = reinterpret_cast<float*>(a.codes.at(replica)) + first;
    store_up_to4(to, 0, n, packs, encode_up_to4<kDone, float>(values, 0, n, step, a.limits, bad));
  } else if (a.limits.n < 0.0f) {
    auto* const to = reinterpret_cast<std::int8_t*>(a.codes.at(replica)) + first;
    store_up_to4(to, 0, n, packs, encode_up_to4<kDone, std::int8_t>(values, 0, n, step, a.limits, bad));
  } else {
    auto* const to = reinterpret_cast<std::uint8_t*>(a.codes.at(replica)) + first;
    store_up_to4(to, 0, n, packs, encode_up_to4<kDone, std::uint8_t>(values, 0, n, step, a.limits, bad));
  }
}

__device__ __forceinline__ void note_bad(const EpilogueArguments& a, unsigned replica, bool bad) {
  if (bad) note_fault(a.status[replica], a.params[replica].step, a.node_index);
}

}  // namespace gridstep
