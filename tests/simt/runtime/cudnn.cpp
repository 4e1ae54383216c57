// cuDNN's convolutions, as far as the plug-in calls them (its legacy interface), on the emulated runtime: float32, NHWC
// with KRSC filters, sums in double. Sums of codes come out exact, as the real algorithms' do; other bits differ. Of
// the algorithms that it proposes only the last is fit: the others do not run in the same order each time, transform
// their operands or are not supported, and whoever takes them is refused, as is the default arithmetic, which may be
// TF32 or not. With tensor cores operands are rounded to TF32.
#include <cudnn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "library_memory.h"
#include "tests/simt/stream.h"

struct cudnnContext {
  simt::LibraryMemory memory{std::size_t{4} << 20};
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  int n = 0, c = 0, h = 0, w = 0;
};
struct cudnnFilterStruct {
  int k = 0, c = 0, r = 0, s = 0;
};
struct cudnnConvolutionStruct {
  int pad_h = 0, pad_w = 0, stride_h = 0, stride_w = 0;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

namespace {

constexpr std::size_t kWorkspace = 1000;
// The one that may be taken.
constexpr auto kForward = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
constexpr auto kBackwardData = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
constexpr auto kBackwardFilter = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

struct Shape {
  int n, h, w, c, k, r, s, p, q, pad_h, pad_w, stride_h, stride_w;

  Shape(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t f, cudnnConvolutionDescriptor_t conv,
        cudnnTensorDescriptor_t y)
      : n(x->n),
        h(x->h),
        w(x->w),
        c(x->c),
        k(f->k),
        r(f->r),
        s(f->s),
        p(y->h),
        q(y->w),
        pad_h(conv->pad_h),
        pad_w(conv->pad_w),
        stride_h(conv->stride_h),
        stride_w(conv->stride_w) {
    fits_ = f->c == c && y->n == n && y->c == k && p == (h + 2 * pad_h - r) / stride_h + 1 &&
            q == (w + 2 * pad_w - s) / stride_w + 1;
  }
  bool fits() const { return fits_; }

  // visit(image pixel, filter tap, output pixel) for every product: indices of the first channel of each.
  template <class F>
  void for_each_tap(F&& visit) const {
    for (int in = 0; in < n; ++in) {
      for (int op = 0; op < p; ++op) {
        for (int oq = 0; oq < q; ++oq) {
          const std::size_t out = index(in, op, oq, p, q) * static_cast<std::size_t>(k);
          for (int fr = 0; fr < r; ++fr) {
            const int ih = op * stride_h - pad_h + fr;
            if (ih < 0 || ih >= h) continue;
            for (int fs = 0; fs < s; ++fs) {
              const int iw = oq * stride_w - pad_w + fs;
              if (iw < 0 || iw >= w) continue;
              visit(index(in, ih, iw, h, w) * static_cast<std::size_t>(c), static_cast<std::size_t>(fr * s + fs), out);
            }
          }
        }
      }
    }
  }
  std::size_t x_size() const { return index(n, 0, 0, h, w) * static_cast<std::size_t>(c); }
  std::size_t y_size() const { return index(n, 0, 0, p, q) * static_cast<std::size_t>(k); }
  std::size_t w_size() const { return static_cast<std::size_t>(k) * filter(); }
  std::size_t filter() const { return static_cast<std::size_t>(r * s) * static_cast<std::size_t>(c); }

 private:
  static std::size_t index(int image, int row, int column, int rows, int columns) {
    return (static_cast<std::size_t>(image) * static_cast<std::size_t>(rows) + static_cast<std::size_t>(row)) *
               static_cast<std::size_t>(columns) +
           static_cast<std::size_t>(column);
  }
  bool fits_;
};

void forward(const Shape& g, const float* x, const float* w, double* y) {
  g.for_each_tap([&](std::size_t in, std::size_t tap, std::size_t out) {
    for (int k = 0; k < g.k; ++k) {
      const float* const f = w + static_cast<std::size_t>(k) * g.filter() + tap * static_cast<std::size_t>(g.c);
      double sum = 0.0;
      for (int c = 0; c < g.c; ++c) sum += static_cast<double>(x[in + static_cast<std::size_t>(c)]) * f[c];
      y[out + static_cast<std::size_t>(k)] += sum;
    }
  });
}

void backward_data(const Shape& g, const float* w, const float* dy, double* dx) {
  g.for_each_tap([&](std::size_t in, std::size_t tap, std::size_t out) {
    for (int k = 0; k < g.k; ++k) {
      const double d = dy[out + static_cast<std::size_t>(k)];
      const float* const f = w + static_cast<std::size_t>(k) * g.filter() + tap * static_cast<std::size_t>(g.c);
      for (int c = 0; c < g.c; ++c) dx[in + static_cast<std::size_t>(c)] += d * static_cast<double>(f[c]);
    }
  });
}

void backward_filter(const Shape& g, const float* x, const float* dy, double* dw) {
  g.for_each_tap([&](std::size_t in, std::size_t tap, std::size_t out) {
    for (int k = 0; k < g.k; ++k) {
      const double d = dy[out + static_cast<std::size_t>(k)];
      double* const f = dw + static_cast<std::size_t>(k) * g.filter() + tap * static_cast<std::size_t>(g.c);
      for (int c = 0; c < g.c; ++c) f[c] += d * static_cast<double>(x[in + static_cast<std::size_t>(c)]);
    }
  });
}

using Pass = void (*)(const Shape&, const float*, const float*, double*);

struct Operand {
  const void* data;
  std::size_t size;

  bool on_gpu() const { return simt::on_gpu(data, size * sizeof(float)); }
  const float* floats() const { return static_cast<const float*>(data); }
};

// As tensor cores take float32: ten bits of mantissa. Codes stay what they are.
std::vector<float> as_tf32(const Operand& operand) {
  std::vector<float> rounded(operand.floats(), operand.floats() + operand.size);
  for (float& v : rounded) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &v, sizeof bits);
    bits = (bits + 0x1000u) & ~0x1fffu;
    std::memcpy(&v, &bits, sizeof bits);
  }
  return rounded;
}

struct Factors {
  const void *alpha, *beta;
  bool plain() const { return *static_cast<const float*>(alpha) == 1.0f && *static_cast<const float*>(beta) == 0.0f; }
};

// out = pass(a, b): with alpha 1 and beta 0 only, which is what the plug-in asks for.
cudnnStatus_t run(cudnnHandle_t handle, const Shape& g, cudnnMathType_t math, Pass pass, const Factors& factors,
                  const Operand& a, const Operand& b, void* out, std::size_t size, void* workspace,
                  std::size_t workspace_size) {
  const bool there = a.on_gpu() && b.on_gpu() && Operand{out, size}.on_gpu() && simt::on_gpu(workspace, kWorkspace);
  if (!g.fits() || !factors.plain() || workspace_size < kWorkspace || !there || handle->stream == nullptr)
    return CUDNN_STATUS_BAD_PARAM;
  if (math != CUDNN_FMA_MATH && math != CUDNN_TENSOR_OP_MATH) return CUDNN_STATUS_NOT_SUPPORTED;
  handle->stream->add([=] {
    std::memset(workspace, 0xff, kWorkspace);
    std::vector<double> sums(size, 0.0);
    if (math == CUDNN_TENSOR_OP_MATH) {
      pass(g, as_tf32(a).data(), as_tf32(b).data(), sums.data());
    } else {
      pass(g, a.floats(), b.floats(), sums.data());
    }
    std::transform(sums.begin(), sums.end(), static_cast<float*>(out), [](double v) { return static_cast<float>(v); });
  });
  return CUDNN_STATUS_SUCCESS;
}

template <class Algo>
struct Proposal {
  Algo algo;
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  cudnnDeterminism_t determinism = CUDNN_DETERMINISTIC;
};

template <class Perf, class Algo>
cudnnStatus_t propose(const Shape& g, cudnnMathType_t math, const std::vector<Proposal<Algo>>& proposals, int wanted,
                      int* count, Perf* found) {
  if (!g.fits()) return CUDNN_STATUS_BAD_PARAM;
  *count = std::min(wanted, static_cast<int>(proposals.size()));
  for (int i = 0; i < *count; ++i) {
    const Proposal<Algo>& p = proposals[static_cast<std::size_t>(i)];
    found[i] = {};
    found[i].algo = p.algo;
    found[i].status = p.status;
    found[i].determinism = p.determinism;
    found[i].mathType = math == CUDNN_DEFAULT_MATH ? CUDNN_TENSOR_OP_MATH : math;
  }
  return CUDNN_STATUS_SUCCESS;
}

template <class T>
cudnnStatus_t create(T** descriptor) {
  *descriptor = new T;
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* descriptor) {
  delete descriptor;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t workspace(const Shape& g, std::size_t* size) {
  *size = kWorkspace;
  return g.fits() ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

}  // namespace

extern "C" {

std::size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "an error of the emulated cuDNN"; }
void cudnnGetLastErrorString(char* message, std::size_t size) { std::snprintf(message, size, "no detail"); }

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  auto made = std::make_unique<cudnnContext>();
  if (!made->memory.have()) return CUDNN_STATUS_ALLOC_FAILED;
  *handle = made.release();
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* d) { return create(d); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t d) { return destroy(d); }
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* d) { return create(d); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t d) { return destroy(d); }
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* d) { return create(d); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t d) { return destroy(d); }

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t d, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w) {
  *d = {n, c, h, w};
  return format == CUDNN_TENSOR_NHWC && type == CUDNN_DATA_FLOAT ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t d, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int w) {
  *d = {k, c, h, w};
  return format == CUDNN_TENSOR_NHWC && type == CUDNN_DATA_FLOAT ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t type) {
  *d = {pad_h, pad_w, u, v, CUDNN_DEFAULT_MATH};
  const bool known = dilation_h == 1 && dilation_w == 1 && mode == CUDNN_CROSS_CORRELATION && type == CUDNN_DATA_FLOAT;
  return known ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d, cudnnMathType_t type) {
  d->math = type;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w,
                                                     const cudnnConvolutionDescriptor_t conv,
                                                     const cudnnTensorDescriptor_t y, const int wanted, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  using Algo = cudnnConvolutionFwdAlgo_t;
  return propose<cudnnConvolutionFwdAlgoPerf_t, Algo>(
      Shape(x, w, conv, y), conv->math,
      {{CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD},
       {CUDNN_CONVOLUTION_FWD_ALGO_GEMM, CUDNN_STATUS_NOT_SUPPORTED},
       {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC},
       {kForward}},
      wanted, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, const cudnnFilterDescriptor_t w,
                                                          const cudnnTensorDescriptor_t dy,
                                                          const cudnnConvolutionDescriptor_t conv,
                                                          const cudnnTensorDescriptor_t dx, const int wanted,
                                                          int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
  using Algo = cudnnConvolutionBwdDataAlgo_t;
  return propose<cudnnConvolutionBwdDataAlgoPerf_t, Algo>(
      Shape(dx, w, conv, dy), conv->math,
      {{CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD},
       {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC},
       {kBackwardData}},
      wanted, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                            const cudnnTensorDescriptor_t dy,
                                                            const cudnnConvolutionDescriptor_t conv,
                                                            const cudnnFilterDescriptor_t dw, const int wanted,
                                                            int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  using Algo = cudnnConvolutionBwdFilterAlgo_t;
  return propose<cudnnConvolutionBwdFilterAlgoPerf_t, Algo>(
      Shape(x, dw, conv, dy), conv->math,
      {{CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD},
       {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC},
       {kBackwardFilter}},
      wanted, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t conv,
                                                      const cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t,
                                                      std::size_t* size) {
  return workspace(Shape(x, w, conv, y), size);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t w,
                                                           const cudnnTensorDescriptor_t dy,
                                                           const cudnnConvolutionDescriptor_t conv,
                                                           const cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t, std::size_t* size) {
  return workspace(Shape(dx, w, conv, dy), size);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t dy,
                                                             const cudnnConvolutionDescriptor_t conv,
                                                             const cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t, std::size_t* size) {
  return workspace(Shape(x, dw, conv, dy), size);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t x_shape,
                                      const void* x, const cudnnFilterDescriptor_t w_shape, const void* w,
                                      const cudnnConvolutionDescriptor_t conv, cudnnConvolutionFwdAlgo_t algo,
                                      void* workspace, std::size_t size, const void* beta,
                                      const cudnnTensorDescriptor_t y_shape, void* y) {
  const Shape g(x_shape, w_shape, conv, y_shape);
  if (algo != kForward) return CUDNN_STATUS_NOT_SUPPORTED;
  return run(handle, g, conv->math, forward, {alpha, beta}, {x, g.x_size()}, {w, g.w_size()}, y, g.y_size(), workspace,
             size);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           const cudnnFilterDescriptor_t w_shape, const void* w,
                                           const cudnnTensorDescriptor_t dy_shape, const void* dy,
                                           const cudnnConvolutionDescriptor_t conv, cudnnConvolutionBwdDataAlgo_t algo,
                                           void* workspace, std::size_t size, const void* beta,
                                           const cudnnTensorDescriptor_t dx_shape, void* dx) {
  const Shape g(dx_shape, w_shape, conv, dy_shape);
  if (algo != kBackwardData) return CUDNN_STATUS_NOT_SUPPORTED;
  return run(handle, g, conv->math, backward_data, {alpha, beta}, {w, g.w_size()}, {dy, g.y_size()}, dx, g.x_size(),
             workspace, size);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             const cudnnTensorDescriptor_t x_shape, const void* x,
                                             const cudnnTensorDescriptor_t dy_shape, const void* dy,
                                             const cudnnConvolutionDescriptor_t conv,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void* workspace, std::size_t size,
                                             const void* beta, const cudnnFilterDescriptor_t dw_shape, void* dw) {
  const Shape g(x_shape, dw_shape, conv, dy_shape);
  if (algo != kBackwardFilter) return CUDNN_STATUS_NOT_SUPPORTED;
  return run(handle, g, conv->math, backward_filter, {alpha, beta}, {x, g.x_size()}, {dy, g.y_size()}, dw, g.w_size(),
             workspace, size);
}

}  // extern "C"
