#include "kernels/common/elementwise.cuh"
#include "kernels/pixels_to_float/pixels_to_float.h"

namespace gridstep {

void record_pixels_to_float_cuda(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cuda<float, std::uint8_t>(recorder, node, PixelsToFloat{});
}

}  // namespace gridstep
