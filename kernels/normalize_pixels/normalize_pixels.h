// 8-bit pixels as normalised real values:
//   y[p, c] = (float(x[p, c]) / 255 - mean[c]) / deviation[c], every operation rounded to float, as PyTorch's ToTensor
//   and Normalize round them
//   x: u8 (..., 3)     y: f32, the same shape
// Deviations are positive. No gradient. Elementwise: same bits on every device.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/hd.h"
#include "engine/base/normalization.h"
#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

GS_HD float normalized_pixel(std::uint8_t x, float mean, float deviation) {
  return (static_cast<float>(x) / 255.0f - mean) / deviation;
}

ValueId normalize_pixels(Graph& graph, std::string name, ValueId x, const Normalization& attrs);

const OpDef& normalize_pixels_op();

void record_normalize_pixels_cpu(Recorder& recorder, const BoundNode& node);
void record_normalize_pixels_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
