#include <array>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_error.h"
#include "engine/device/cuda/cuda_libraries.h"
#include "kernels/conv2d/library_plan.h"

namespace gridstep {
namespace {

template <class T, cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)>
class Descriptor {
 public:
  Descriptor() { GS_CUDNN(create(&value_)); }
  ~Descriptor() { (void)destroy(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  T get() const { return value_; }

 private:
  T value_ = nullptr;
};

using TensorDescriptor = Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor =
    Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

int narrow(Index n) { return library_int(n, "cuDNN"); }

std::string text(const ConvGeometry& g) {
  return fmt::format("{}x{}x{}x{} with {} filters {}x{}, stride {}, padding {}", g.n, g.h, g.w, g.c, g.k, g.r, g.s,
                     g.stride, g.pad);
}

struct Descriptors {
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor conv;

  Descriptors(const ConvGeometry& g, LibraryPrecision precision) {
    narrow(g.n * g.h * g.w * g.c);
    narrow(g.n * g.p * g.q * g.k);
    set_tensor(x, g.n, g.h, g.w, g.c);
    set_tensor(y, g.n, g.p, g.q, g.k);
    GS_CUDNN(cudnnSetFilter4dDescriptor(w.get(), CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, narrow(g.k), narrow(g.c),
                                        narrow(g.r), narrow(g.s)));
    GS_CUDNN(cudnnSetConvolution2dDescriptor(conv.get(), narrow(g.pad), narrow(g.pad), narrow(g.stride),
                                             narrow(g.stride), 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    set_math(precision == LibraryPrecision::kCodes ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH);
  }
  void set_math(cudnnMathType_t type) const { GS_CUDNN(cudnnSetConvolutionMathType(conv.get(), type)); }

 private:
  static void set_tensor(const TensorDescriptor& t, Index n, Index h, Index w, Index c) {
    GS_CUDNN(cudnnSetTensor4dDescriptor(t.get(), CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, narrow(n), narrow(c), narrow(h),
                                        narrow(w)));
  }
};

// What differs between the passes: the operands' descriptors in the order that all functions of a pass share (the
// first, the second, the result), these functions, and which algorithms may run. Others transform their operands or add
// in no fixed order.
struct Forward {
  using Perf = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
  static constexpr auto find = cudnnGetConvolutionForwardAlgorithm_v7;
  static constexpr auto workspace = cudnnGetConvolutionForwardWorkspaceSize;
  static constexpr auto run = cudnnConvolutionForward;
  static auto operands(const Descriptors& d) { return std::tuple(d.x.get(), d.w.get(), d.y.get()); }
  static bool usable(cudnnConvolutionFwdAlgo_t algo) {
    return algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM ||
           algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM || algo == CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
  }
};

struct BackwardData {
  using Perf = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT;
  static constexpr auto find = cudnnGetConvolutionBackwardDataAlgorithm_v7;
  static constexpr auto workspace = cudnnGetConvolutionBackwardDataWorkspaceSize;
  static constexpr auto run = cudnnConvolutionBackwardData;
  static auto operands(const Descriptors& d) { return std::tuple(d.w.get(), d.y.get(), d.x.get()); }
  static bool usable(cudnnConvolutionBwdDataAlgo_t algo) { return algo == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1; }
};

struct BackwardWeight {
  using Perf = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr int kCount = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT;
  static constexpr auto find = cudnnGetConvolutionBackwardFilterAlgorithm_v7;
  static constexpr auto workspace = cudnnGetConvolutionBackwardFilterWorkspaceSize;
  static constexpr auto run = cudnnConvolutionBackwardFilter;
  static auto operands(const Descriptors& d) { return std::tuple(d.x.get(), d.y.get(), d.w.get()); }
  static bool usable(cudnnConvolutionBwdFilterAlgo_t algo) { return algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1; }
};

// Whether a proposal's arithmetic keeps the precision asked for: never float16, and no tensor cores for true float32.
bool precise(cudnnMathType_t type, LibraryPrecision precision) {
  if (precision == LibraryPrecision::kCodes) return type != CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
  return type == CUDNN_FMA_MATH || type == CUDNN_DEFAULT_MATH;  // the descriptor says FMA whatever the proposal says
}

template <class Pass>
class Plan final : public LibraryPlan {
 public:
  Plan(cudnnHandle_t handle, const ConvGeometry& g, LibraryPrecision precision) : descriptors_(g, precision) {
    std::array<typename Pass::Perf, static_cast<std::size_t>(2 * Pass::kCount)> found{};
    const auto [a, b, out] = Pass::operands(descriptors_);
    const auto conv = descriptors_.conv.get();
    int count = 0;
    GS_CUDNN(Pass::find(handle, a, b, conv, out, static_cast<int>(found.size()), &count, found.data()));
    for (int i = 0; i < count; ++i) {
      const auto& p = found[static_cast<std::size_t>(i)];
      if (p.status != CUDNN_STATUS_SUCCESS || p.determinism != CUDNN_DETERMINISTIC || !Pass::usable(p.algo)) continue;
      if (!precise(p.mathType, precision)) continue;
      if (precision == LibraryPrecision::kCodes) descriptors_.set_math(p.mathType);
      // The proposal's own figure need not hold for the descriptor as it is now.
      if (Pass::workspace(handle, a, b, conv, out, p.algo, &workspace_) != CUDNN_STATUS_SUCCESS) continue;
      algo_ = p.algo;
      return;
    }
    fail<DeviceError>("cuDNN {} has no deterministic direct algorithm for a convolution of {}", cudnnGetVersion(),
                      text(g));
  }

  Bytes workspace_bytes() const override { return static_cast<Bytes>(workspace_); }
  void run(Device& device, const float* a, const float* b, float* out, std::byte* workspace) const override {
    constexpr float kOne = 1.0f, kZero = 0.0f;
    const auto [a_shape, b_shape, out_shape] = Pass::operands(descriptors_);
    GS_CUDNN(Pass::run(cudnn_handle(device), &kOne, a_shape, a, b_shape, b, descriptors_.conv.get(), algo_, workspace,
                       workspace_, &kZero, out_shape, out));
  }

 private:
  Descriptors descriptors_;
  decltype(Pass::Perf::algo) algo_{};
  std::size_t workspace_ = 0;
};

using Key = std::tuple<int, ConvPass, LibraryPrecision, Index, Index, Index, Index, Index, Index, Index, Index, Index>;

struct Cache {
  std::mutex mutex;
  std::map<Key, std::shared_ptr<const LibraryPlan>> plans;
  std::map<int, cudnnHandle_t> handles;  // for asking only: memory is planned before a program has a device to run on
};

}  // namespace

std::shared_ptr<const LibraryPlan> cudnn_plan(ConvPass pass, LibraryPrecision precision, const ConvGeometry& g) {
  static Cache& cache = *new Cache;  // never destroyed: at exit the CUDA driver may be gone before
  int gpu = 0;
  GS_CUDA(cudaGetDevice(&gpu));
  const std::lock_guard lock(cache.mutex);
  auto& entry = cache.plans[Key{gpu, pass, precision, g.n, g.h, g.w, g.c, g.k, g.r, g.s, g.stride, g.pad}];
  if (entry) return entry;
  cudnnHandle_t& handle = cache.handles[gpu];
  if (handle == nullptr) GS_CUDNN(cudnnCreate(&handle));
  switch (pass) {
    case ConvPass::kForward:
      entry = std::make_shared<Plan<Forward>>(handle, g, precision);
      break;
    case ConvPass::kBackwardData:
      entry = std::make_shared<Plan<BackwardData>>(handle, g, precision);
      break;
    case ConvPass::kBackwardWeight:
      entry = std::make_shared<Plan<BackwardWeight>>(handle, g, precision);
      break;
  }
  return entry;
}

}  // namespace gridstep
