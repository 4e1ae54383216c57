// The CUDA device: one GPU, one stream on which everything of a program runs in order.
#pragma once

#include <memory>

#include "engine/device/device.h"

// As the toolkit declares it, so that host sources need none of its headers.
typedef struct CUstream_st* cudaStream_t;

namespace gridstep {

// Opens GPU number `ordinal`. Throws DeviceError when it cannot be used: what nvidia-smi would show is in the message.
std::unique_ptr<Device> make_cuda_device(int ordinal);

// The stream of a CUDA device: where launchers enqueue.
cudaStream_t cuda_stream(Device& device);

}  // namespace gridstep
