// 8-bit pixels as real values: y[i] = float(x[i]) * (1/255), the step rounded to float first, as for every dequantized
// code.
//   x: u8, any shape     y: f32, the same shape
// No gradient. Elementwise: same bits on every device.
#pragma once

#include <cstdint>
#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"
#include "kernels/common/pixels.h"

namespace gridstep {

struct PixelsToFloat {
  GS_HD float operator()(std::uint8_t x) const { return pixel_value(x); }
};

ValueId pixels_to_float(Graph& graph, std::string name, ValueId x);

const OpDef& pixels_to_float_op();

void record_pixels_to_float_cpu(Recorder& recorder, const BoundNode& node);
void record_pixels_to_float_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
