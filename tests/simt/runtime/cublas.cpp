// cuBLAS, as far as the plug-in calls it, on the emulated runtime: sums in double.
#include <cublas_v2.h>

#include <cstddef>

#include "tests/simt/stream.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  bool pedantic = false;
};

extern "C" {

const char* cublasGetStatusString(cublasStatus_t) { return "an error of the emulated cuBLAS"; }

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->workspace = nullptr;  // as the library does: the workspace is set after the stream
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t) {
  handle->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->pedantic = mode == CUBLAS_PEDANTIC_MATH;
  return CUBLAS_STATUS_SUCCESS;
}

// Refused without a workspace or with TF32: results would depend on the run.
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n,
                              int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  const bool sizes = m > 0 && n > 0 && k > 0 && ldc >= m && lda >= (a_as == CUBLAS_OP_N ? m : k) &&
                     ldb >= (b_as == CUBLAS_OP_N ? k : n);
  if (!sizes || *alpha != 1.0f || *beta != 0.0f) return CUBLAS_STATUS_INVALID_VALUE;
  if (handle->stream == nullptr || handle->workspace == nullptr || !handle->pedantic)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  handle->stream->add([=] {
    const auto at = [](const float* matrix, cublasOperation_t as, int leading, int row, int column) {
      if (as != CUBLAS_OP_N) std::swap(row, column);
      return static_cast<double>(matrix[static_cast<std::ptrdiff_t>(column) * leading + row]);
    };
    for (int column = 0; column < n; ++column) {
      for (int row = 0; row < m; ++row) {
        double sum = 0.0;
        for (int i = 0; i < k; ++i) sum += at(a, a_as, lda, row, i) * at(b, b_as, ldb, i, column);
        c[static_cast<std::ptrdiff_t>(column) * ldc + row] = static_cast<float>(sum);
      }
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
