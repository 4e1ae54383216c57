#include "kernels/common/elementwise_cpu.h"
#include "kernels/pixels_to_float/pixels_to_float.h"

namespace gridstep {

void record_pixels_to_float_cpu(Recorder& recorder, const BoundNode& node) {
  record_elementwise_cpu<float, std::uint8_t>(recorder, node, PixelsToFloat{});
}

}  // namespace gridstep
