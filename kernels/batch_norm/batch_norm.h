// Batch normalisation over samples and pixels, per channel (Ioffe & Szegedy, arXiv 1502.03167).
//   training   mean = (1/M) sum x,  var = (1/M) sum x^2 - mean^2,  M = N H W;  inv_std = 1 / sqrt(var + eps)
//              running_mean += m (mean - running_mean),  running_var += m (var M/(M-1) - running_var),  m the momentum:
//              the two are changed in place (M/(M-1) is 1 for M = 1)
//   frozen     mean = running_mean, inv_std = 1 / sqrt(running_var + eps): evaluation, and training with fixed
//              statistics
//   y = (x - mean) (inv_std gamma) + beta
//   backward   xhat = (x - mean) inv_std,  dbeta = sum dy,  dgamma = sum dy xhat
//              training: dx = (gamma inv_std) (dy - dbeta/M - xhat dgamma/M)      frozen: dx = (gamma inv_std) dy
//   x, y, dy, dx: f32 (N, H, W, C)   gamma, beta, running statistics, mean, inv_std: f32 (C)
//
// Fused with what follows (passes/fuse.h), the same pass over memory also does, in this order, what attrs say:
//   add        y = y + residual           relu   y = max(y, 0)
//   quantize   codes of y with the step s: kernels/quantize/quantize.h; y itself is stored where somebody reads it only
//   backward   one pass with all sums (dbeta, dgamma, and the step's gradient) and one that applies them; nothing of
//   the
//              tail is kept but y, and that only after an addition: else it is computed again from x.
// Same codes and values as unfused, bit for bit.
//
// Sums run in double: blocks of 64 pixels in order, then the blocks' sums by 32 lanes (norm_math.h). The convolution
// that makes x yields the blocks' sums of x and x^2 where attrs.sums_given (norm_sums.h). Everything else is float with
// every operation rounded: same bits on every device. eps and momentum as PyTorch's BatchNorm2d.
#pragma once

#include <optional>
#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"
#include "kernels/quantize/quantize.h"

namespace gridstep {

struct BatchNormAttrs {
  float eps = 1e-5f;
  float momentum = 0.1f;
  bool frozen = false;
  // Set by fusion.
  bool add = false;
  bool relu = false;
  std::optional<QuantizeAttrs> quantize = {};  // its activation: none
  bool sums_given = false;
};

struct BatchNormParameters {
  ValueId gamma, beta, running_mean, running_var;
};
ValueId batch_norm(Graph& graph, std::string name, ValueId x, const BatchNormParameters& parameters,
                   BatchNormAttrs attrs = {});

// (x, gamma, beta, running_mean, running_var, residual if `add`, parameter and s0 if `quantize`, sums if `sums_given`)
// -> (y, mean, inv_std, codes and step if `quantize`)
const OpDef& batch_norm_op();
// (x, gamma, beta, mean, inv_std, dy?, y if `add`, G, parameter and s0 if `quantize`), absent ones in their places
// -> (dx, dgamma, dbeta, dresidual, dparameter), the last two empty where there is none; G: dL/d(code * step)
const OpDef& batch_norm_backward_op();

void record_batch_norm_cpu(Recorder& recorder, const BoundNode& node);
void record_batch_norm_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_batch_norm_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_batch_norm_backward_cuda(Recorder& recorder, const BoundNode& node);

// A node's tensors by name; absent ones have null data.
struct NormTensors {
  Tensor x, gamma, beta, running_mean, running_var, residual, parameter, sums;
  Tensor y, mean, inv_std, codes, step;
};
NormTensors norm_tensors(const BoundNode& node);

struct NormBackwardTensors {
  Tensor x, gamma, beta, mean, inv_std, dy, y, g, parameter, s0;
  Tensor dx, dgamma, dbeta, dresidual, dparameter;
  Tensor sums, step_sums;  // of blocks, and of the step's gradient: f64 (blocks, C); the latter null without quantizer
};
NormBackwardTensors norm_backward_tensors(const BoundNode& node);

}  // namespace gridstep
