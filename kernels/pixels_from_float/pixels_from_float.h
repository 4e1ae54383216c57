// Real values as 8-bit pixels: what a super-resolution network shows and what its quality is measured on.
//   y[i] = round_half_even(255 * clamp(x[i], 0, 1));  NaN gives 0 and is noted as the replica's fault
//   x: f32, any shape     y: u8, the same shape
// No gradient. Elementwise: same bits on every device.
#pragma once

#include <cstdint>
#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"
#include "kernels/common/pixels.h"

namespace gridstep {

struct PixelsFromFloat {
  GS_HD std::uint8_t operator()(float x) const {
    const float code = nearest_pixel(x);
    return static_cast<std::uint8_t>(static_cast<std::int32_t>(strict::is_nan(code) ? 0.0f : code));
  }
};

ValueId pixels_from_float(Graph& graph, std::string name, ValueId x);

const OpDef& pixels_from_float_op();

void record_pixels_from_float_cpu(Recorder& recorder, const BoundNode& node);
void record_pixels_from_float_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
