// From exact sums to what a convolution yields, for the kernels that end in it: values, and codes of a fused quantizer.
#pragma once

#include "kernels/batch_norm/norm_math.h"
#include "kernels/conv2d/conv2d_cuda.h"
#include "kernels/quantize/quantize.cuh"

namespace gridstep {

// Null data: absent.
struct EpilogueArguments {
  Strided<const float> bias, x_step, w_step;
  bool w_step_per_channel;
  Strided<const float> residual;
  float zero;  // of the ReLU: norm_math.h
  Strided<float> y;
  Strided<NormSums> norm_sums;  // of y's blocks of pixels; only the own kernel looks at them
  bool packs;                   // residual, y and codes may be accessed in packs of four
  int channels;
  bool quantized;
  CodeTarget codes;
  FusedActivation activation;
  Strided<const float> parameter;
  Strided<float> step;
  StepForm form;
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
  a.norm_sums = strided<NormSums>(e.norm_sums);
  a.channels = static_cast<int>(e.channels);
  a.quantized = e.quantize.has_value();
  a.residual = strided<const float>(e.residual);
  a.zero = relu_zero(e.relu);
  a.packs = packs_are_aligned(a.y) && packs_are_aligned(a.residual);
  if (e.quantize) {
    a.activation = e.quantize->activation;
    a.codes = code_target(*e.quantize, e.codes);
    a.packs = a.packs && a.codes.packs;
    a.parameter = strided<const float>(e.parameter);
    a.step = strided<float>(e.step);
    a.form = e.quantize->form;
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

// What a fused tail does to n of four neighbouring values before they are stored.
__device__ __forceinline__ void add_residual(const EpilogueArguments& a, unsigned replica, Index first, Index n,
                                             bool packs, Pack4<float>& values) {
  if (a.residual.data != nullptr) {
    const Pack4<float> residual = load_up_to4(a.residual.at(replica) + first, 0, n, packs);
#pragma unroll
    for (int l = 0; l < 4; ++l) values.v[l] = values.v[l] + residual.v[l];
  }
#pragma unroll
  for (int l = 0; l < 4; ++l) values.v[l] = norm_relu(values.v[l], a.zero);
}

// Finishes and stores n of four neighbouring values and, where a quantizer follows, their codes; `first`: the place of
// the first in y.
__device__ __forceinline__ void store_outputs(const EpilogueArguments& a, unsigned replica, Index first, Index n,
                                              bool packs, Pack4<float> values, float step, bool& bad) {
  add_residual(a, replica, first, n, packs, values);
  if (a.y.data != nullptr) store_up_to4(a.y.at(replica) + first, 0, n, packs, values);
  if (!a.quantized) return;
  if (a.activation == FusedActivation::kRelu) activate4<FusedActivation::kRelu>(values);
  if (a.activation == FusedActivation::kTanh) activate4<FusedActivation::kTanh>(values);
  store_codes(a.codes, replica, first, n, packs, values, step, bad);
}

__device__ __forceinline__ void note_bad(const EpilogueArguments& a, unsigned replica, bool bad) {
  if (bad) note_fault(a.status[replica], a.params[replica].step, a.node_index);
}

}  // namespace gridstep
