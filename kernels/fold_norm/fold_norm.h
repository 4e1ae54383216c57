// Frozen batch normalisation folded into the convolution before it: what takes the place of that convolution's scale
// (the steps of its weight codes, or its weights) and of its bias.
//   g[k]       = gamma[k] / sqrt(running_var[k] + eps)
//   scaled[k]  = w[k] g[k]                                  every element of filter k
//   bias'[k]   = beta[k] + (bias[k] - running_mean[k]) g[k]      bias[k]: 0 where there is none
//   w: f32 (K, ...), or (1) for one step of all filters;  all else f32 (K)
//   -> scaled: f32 as w, (K) for one step;  bias': f32 (K)
// so that conv(x, w) + bias, normalised as kernels/batch_norm/batch_norm.h says, is conv(x, scaled) + bias' but for
// rounding. g may be negative or 0. Everything is double until it is stored: same bits on every device. No gradient.
#pragma once

#include <cmath>

#include "engine/base/hd.h"
#include "engine/graph/op.h"

namespace gridstep {

struct FoldNormAttrs {
  float eps = 1e-5f;
};

// (w, gamma, beta, running_mean, running_var, bias?) -> (scaled, bias')
const OpDef& fold_norm_op();

void record_fold_norm_cpu(Recorder& recorder, const BoundNode& node);
void record_fold_norm_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

// A node's tensors by name; an absent bias has null data.
struct FoldTensors {
  Tensor w, gamma, beta, mean, var, bias;
  Tensor scaled, new_bias;
};
FoldTensors fold_tensors(const BoundNode& node);

// One channel. `bias`: 0 where there is none.
struct FoldChannel {
  double gain;
  float bias;

  GS_HD FoldChannel(float gamma, float beta, float mean, float var, float old_bias, float eps) {
    const double deviation = sqrt(static_cast<double>(var) + static_cast<double>(eps));
    gain = static_cast<double>(gamma) / deviation;
    const double shift = (static_cast<double>(old_bias) - static_cast<double>(mean)) * gain;
    bias = static_cast<float>(static_cast<double>(beta) + shift);
  }
  GS_HD float scaled(float w) const { return static_cast<float>(static_cast<double>(w) * gain); }
};

}  // namespace gridstep
