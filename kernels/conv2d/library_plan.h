// Convolutions by a library, behind a small interface: cuDNN's, or for 1x1 filters on every pixel (a fully connected
// layer is one) a matrix product of cuBLAS. Activations NHWC, filters KRSC, everything float32.
//
// The results are the same in every run: of cuDNN's algorithms, taken from its heuristics once per (pass, precision,
// geometry, GPU), only deterministic ones, and none that transforms its operands (Winograd, FFT), since sums of codes
// must come out exact; of cuBLAS one product per call, without TF32 and without atomics (its default).
#pragma once

#include <memory>
#include <string_view>

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

enum class ConvPass { kForward, kBackwardData, kBackwardWeight };

// kCodes: operands are integer codes of at most 8 bits, which TF32's 11-bit significand holds exactly, so tensor cores
// may be used. kFloat: true float32.
enum class LibraryPrecision { kFloat, kCodes };

class LibraryPlan {
 public:
  virtual ~LibraryPlan() = default;

  virtual Bytes workspace_bytes() const = 0;
  // forward: a = x, b = w, out = y;  backward data: a = w, b = dy, out = dx;  backward weight: a = x, b = dy, out = dw.
  // Enqueues on the device's stream. `workspace` holds workspace_bytes().
  virtual void run(Device& device, const float* a, const float* b, float* out, std::byte* workspace) const = 0;
};

// For the GPU that is current in this thread. cuDNN's are kept. Throws DeviceError when the library has none.
std::shared_ptr<const LibraryPlan> cudnn_plan(ConvPass pass, LibraryPrecision precision, const ConvGeometry& geometry);
// 1x1 filters at stride 1 without padding, in true float32.
std::shared_ptr<const LibraryPlan> cublas_plan(ConvPass pass, const ConvGeometry& geometry);

// Both libraries count in int; throws DeviceError for more.
int library_int(Index n, std::string_view library);

}  // namespace gridstep
