// Peak signal-to-noise ratio of one predicted image against 8-bit pixels, in decibels, by the two usual conventions.
//   q = round_half_even(255 * clamp(prediction, 0, 1)) before anything is measured
//   mse_rgb: mean of (q - target)^2 over all three channels, `rgb_crop` pixels left out at each side       (EDSR,
//   NTIRE) mse_y:   the same of Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, `y_crop` left out, Y not rounded
//   (ITU-R BT.601) psnr = min(100, 10 log10(255^2 / mse)): an exact image has 100 dB prediction: f32 (1, H, W, 3)
//   target: u8 (1, H, W, 3)     out: f64 (4) = psnr_rgb, psnr_y, mse_rgb, mse_y
// A NaN in the prediction makes the values of every area it lies in NaN. Errors are exact integers, their squares are
// summed as doubles in the order of kernels/common/lane_sum.h: the same mse on every device. Workspace: two doubles per
// row. No gradient.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct PsnrAttrs {
  int rgb_crop = 0;
  int y_crop = 0;
};

// Positions in the output.
enum class PsnrOutput { kPsnrRgb, kPsnrY, kMseRgb, kMseY };

ValueId psnr(Graph& graph, std::string name, ValueId prediction, ValueId target, PsnrAttrs attrs);

const OpDef& psnr_op();

void record_psnr_cpu(Recorder& recorder, const BoundNode& node);
void record_psnr_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
