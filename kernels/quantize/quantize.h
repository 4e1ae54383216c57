// Quantization with a learned step: real values to integer codes, and the gradients back.
//
//   forward    a = activation(x);  t = a / s;  q = round_even(clamp(t, n, p))
//              x: f32, any rank, leading axis N (or K);  step parameter: f32 (1) or, per channel, (K)
//              -> codes u8 (n >= 0) or s8 of the shape of x, or f32 values q * s when `fake`;  step s: f32 (1) or (K)
//   backward   G = dL/d(q s):  dx = G * mask * activation'(x);   dparameter = f * sum(G * r)
//              f = gradient_scale                 for the linear form (the parameter is s),
//              f = gradient_scale * s / s0^2      for the log form (the parameter is rho = ln s; s0 the calibrated
//              step): near s0 a step of rho changes s by as much as plain descent on s, relative to s0, whatever the
//              magnitude of s.
//   The published gradient scale is 1 / sqrt(N p), N the elements per sample (activations) or per step (weights).
//
// A NaN gives code 0 and marks the replica as faulty; the fake form keeps the NaN. Codes are exact and equal on all
// devices; the sum over elements runs in double in an order fixed by the shape. Sources: quantizers/lsq.h, algorithms
// as cited there.
#pragma once

#include "engine/graph/op.h"
#include "kernels/quantize/quantize_math.h"

namespace gridstep {

struct QuantizeAttrs {
  CodeRange range;
  bool per_channel = false;  // one step per entry of the leading axis
  bool fake = false;         // the output is q * s instead of codes
  StepForm form = StepForm::kLog;
  GradientMask mask = GradientMask::kStrict;
  FusedActivation activation = FusedActivation::kNone;
  float gradient_scale = 1.0f;

  DType code_type() const { return range.n >= 0 ? DType::kU8 : DType::kS8; }
};

const OpDef& quantize_op();           // (x, parameter, s0) -> (codes or values, step)
const OpDef& quantize_backward_op();  // (x, parameter, s0, G) -> (dx, dparameter)

struct QuantizedValue {
  ValueId codes, step;
};
QuantizedValue quantize(Graph& graph, const std::string& name, ValueId x, ValueId parameter, ValueId s0,
                        const QuantizeAttrs& attrs);

// One contiguous piece of the forward pass, for ops that quantize in their epilogue: n values with one step. Writes
// codes of attrs.code_type() or, when `fake`, floats. Returns whether a NaN was met.
bool quantize_span(const QuantizeAttrs& attrs, const float* x, Index n, float step, void* out);

}  // namespace gridstep
