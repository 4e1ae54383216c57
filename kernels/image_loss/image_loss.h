// Loss of a predicted image against 8-bit pixels: the mean over samples, pixels and channels of one replica.
//   d[i] = prediction[i] - float(target[i]) * (1/255)
//   image_loss:           loss = (1/M) sum_i l(d[i]),   M = N*H*W*C
//   image_loss_backward:  dprediction[i] = l'(d[i]) * (1/M), the gradient of the loss itself being 1
//   l: mse.h, l1.h, charbonnier.h
//   prediction, dprediction: f32 (N, H, W, C)     target: u8 (N, H, W, C)     loss: f64 ()
// image_loss also adds the loss to the replica's loss_sum, counts it, and notes a loss that is not finite as the
// replica's fault. dprediction is overwritten. Both read each element once. Terms are float, sums double in the order
// of kernels/common/lane_sum.h: same bits on every device. Workspace: one double per 4096 elements.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

enum class LossKind { kMse, kL1, kCharbonnier };

LossKind parse_loss(std::string_view name);  // "mse", "l1", "charbonnier"; throws ConfigError with the nearest match
std::string_view name_of(LossKind kind);
std::vector<std::string> loss_names();

struct ImageLossAttrs {
  LossKind kind = LossKind::kMse;
};

ValueId image_loss(Graph& graph, std::string name, ValueId prediction, ValueId target, LossKind kind);

const OpDef& image_loss_op();
const OpDef& image_loss_backward_op();

void record_image_loss_cpu(Recorder& recorder, const BoundNode& node);
void record_image_loss_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in
void record_image_loss_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_image_loss_backward_cuda(Recorder& recorder, const BoundNode& node);

}  // namespace gridstep
