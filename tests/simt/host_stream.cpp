// Kernels recorded here run on the host: their stream is never looked at.
#include "engine/device/cuda/cuda_device.h"

namespace gridstep {

cudaStream_t cuda_stream(Device&) { return nullptr; }

}  // namespace gridstep
