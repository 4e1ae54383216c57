// Elementwise mathematics of uniform quantization with a learned step, for the CPU loops and the CUDA kernels alike.
#pragma once

#include "engine/base/hd.h"
#include "engine/base/strict_math.h"

namespace gridstep {

// Inclusive integer codes [n, p]: LSQ's Q_N = -n, Q_P = p.
struct CodeRange {
  int n = -128, p = 127;
  bool operator==(const CodeRange&) const = default;
};

// How the stored parameter of a step stands for the step s: `kLinear` s itself, `kLog` rho = ln s (positive by
// construction).
enum class StepForm { kLog, kLinear };

// Which elements pass the gradient, and what those outside contribute to the step's gradient (algorithms.md section 1.3
// of the reference names the sources): strict n < t < p (the paper), inclusive n <= t <= p, rounded n <= round(t) <= p
// (PyTorch's operator).
enum class GradientMask { kStrict, kInclusive, kRounded };

// Applied before quantization when a preceding activation has been fused.
enum class FusedActivation { kNone, kRelu, kTanh };

GS_HD float step_value(float parameter, StepForm form) {
  return form == StepForm::kLog ? strict::exp(parameter) : parameter;
}

// What the sum of G * r is multiplied by to give the gradient of the parameter.
GS_HD float step_factor(StepForm form, float gradient_scale, float s, float s0) {
  return form == StepForm::kLog ? gradient_scale * (s / (s0 * s0)) : gradient_scale;
}

template <FusedActivation A>
GS_HD float activate(float v) {
  if constexpr (A == FusedActivation::kRelu) return v < 0.0f ? 0.0f : v;  // NaN stays NaN
  if constexpr (A == FusedActivation::kTanh) return strict::tanh(v);
  return v;
}

// d activate(v) / dv, given v and a = activate(v).
template <FusedActivation A>
GS_HD float activation_slope(float v, float a) {
  if constexpr (A == FusedActivation::kRelu) return v > 0.0f ? 1.0f : 0.0f;
  if constexpr (A == FusedActivation::kTanh) return 1.0f - a * a;
  return 1.0f;
}

}  // namespace gridstep
