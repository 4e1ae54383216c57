// cuDNN's convolutions behind a small interface. Activations NHWC, filters KRSC, everything float32.
//
// A plan is chosen once per (pass, precision, geometry, GPU) from cuDNN's heuristics: deterministic algorithms only,
// and none that transforms its operands (Winograd, FFT), since sums of codes must come out exact.
#pragma once

#include <memory>

#include "kernels/conv2d/conv2d.h"

// As cuDNN declares it, so that this header needs none of the library's.
typedef struct cudnnContext* cudnnHandle_t;

namespace gridstep {

enum class CudnnPass { kForward, kBackwardData, kBackwardWeight };

// kCodes: operands are integer codes of at most 8 bits, which TF32's 11-bit significand holds exactly, so tensor cores
// may be used. kFloat: true float32.
enum class CudnnPrecision { kFloat, kCodes };

class CudnnPlan {
 public:
  virtual ~CudnnPlan() = default;

  virtual Bytes workspace_bytes() const = 0;
  // forward: a = x, b = w, out = y;  backward data: a = w, b = dy, out = dx;  backward weight: a = x, b = dy, out = dw.
  // Enqueues on the handle's stream. `workspace` holds workspace_bytes().
  virtual void run(cudnnHandle_t handle, const float* a, const float* b, float* out, std::byte* workspace) const = 0;
};

// The plan for the GPU that is current in this thread, made at the first call. Throws DeviceError naming the geometry
// when cuDNN has none.
std::shared_ptr<const CudnnPlan> cudnn_plan(CudnnPass pass, CudnnPrecision precision, const ConvGeometry& geometry);

}  // namespace gridstep
