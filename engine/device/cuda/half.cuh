// The toolkit's 16-bit floats, __nv_bfloat16 and __half: in the SIMT harness too, which takes their host halves.
#pragma once

#include "engine/device/cuda/cuda_compat.h"
// After the harness's intrinsics.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
