// Structural similarity of two 8-bit images (Wang et al., IEEE TIP 2004), averaged over all positions of an 11 x 11
// window.
//   w: Gaussian, sigma 1.5, sum 1, separable; the window lies wholly inside the cropped image (no padding)
//   ssim = ((2 m1 m2 + C1) (2 s12 + C2)) / ((m1^2 + m2^2 + C1) (s1 + s2 + C2)),  C1 = (0.01 * 255)^2, C2 = (0.03 *
//   255)^2 m = E[x], s = E[x^2] - m^2, s12 = E[x1 x2] - m1 m2 with weights w ssim_rgb: the mean over the three
//   channels, `rgb_crop` pixels left out at each side; ssim_y: of BT.601's Y (see cropped_area.h), not rounded,
//   `y_crop` left out a, b: u8 (1, H, W, 3)     out: f64 (2) = ssim_rgb, ssim_y
// Double precision; rows first, then columns, sums in the order of kernels/common/lane_sum.h: same bits on every
// device. Workspace: four doubles per row. No gradient. At least 11 pixels must be left each way.
#pragma once

#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct SsimAttrs {
  int rgb_crop = 0;
  int y_crop = 0;
};

ValueId ssim(Graph& graph, std::string name, ValueId a, ValueId b, SsimAttrs attrs);

const OpDef& ssim_op();

Bytes ssim_scratch(const Node& node, std::span<const ValueSpec> in);
void record_ssim_cpu(Recorder& recorder, const BoundNode& node);
void record_ssim_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
