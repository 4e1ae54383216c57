// Batch normalisation over samples and pixels, per channel (Ioffe & Szegedy, arXiv 1502.03167).
//   training   mean = (1/M) sum x,  var = (1/M) sum x^2 - mean^2,  M = N H W;  inv_std = 1 / sqrt(var + eps)
//              running_mean += m (mean - running_mean),  running_var += m (var M/(M-1) - running_var),  m the momentum:
//              the two are changed in place (M/(M-1) is 1 for M = 1)
//   frozen     mean = running_mean, inv_std = 1 / sqrt(running_var + eps): evaluation, and training with fixed
//   statistics y = (x - mean) (inv_std gamma) + beta backward   xhat = (x - mean) inv_std,  dbeta = sum dy,  dgamma =
//   sum dy xhat
//              training: dx = (gamma inv_std) (dy - dbeta/M - xhat dgamma/M)      frozen: dx = (gamma inv_std) dy
//   x, y, dy, dx: f32 (N, H, W, C)   gamma, beta, running statistics, mean, inv_std: f32 (C)
// Sums run in double: blocks of 64 pixels in order, then the blocks' sums by 32 lanes (norm_math.h). Everything else is
// float with every operation rounded: same bits on every device. eps and momentum as PyTorch's BatchNorm2d.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct BatchNormAttrs {
  float eps = 1e-5f;
  float momentum = 0.1f;
  bool frozen = false;
};

struct BatchNormParameters {
  ValueId gamma, beta, running_mean, running_var;
};
ValueId batch_norm(Graph& graph, std::string name, ValueId x, const BatchNormParameters& parameters,
                   BatchNormAttrs attrs = {});

const OpDef& batch_norm_op();           // (x, gamma, beta, running_mean, running_var) -> (y, mean, inv_std)
const OpDef& batch_norm_backward_op();  // (x, dy, gamma, mean, inv_std) -> (dx, dgamma, dbeta)

void record_batch_norm_cpu(Recorder& recorder, const BoundNode& node);
void record_batch_norm_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_batch_norm_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_batch_norm_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
