// cuBLAS, as far as the plug-in calls it, on the emulated runtime: sums in double.
#include <cublas_v2.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "library_memory.h"
#include "tests/simt/stream.h"

struct cublasContext {
  simt::LibraryMemory memory{std::size_t{4} << 20};
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  std::size_t workspace_size = 0;
  bool pedantic = false;
};

namespace {

// Bytes of a matrix whose columns all have their full length.
std::size_t extent(int leading, int columns) {
  return sizeof(float) * static_cast<std::size_t>(leading) * static_cast<std::size_t>(columns);
}

}  // namespace

extern "C" {

const char* cublasGetStatusString(cublasStatus_t) { return "an error of the emulated cuBLAS"; }

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  auto made = std::make_unique<cublasContext>();
  if (!made->memory.have()) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = made.release();
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
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t size) {
  if (!simt::on_gpu(workspace, size)) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = workspace;
  handle->workspace_size = size;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->pedantic = mode == CUBLAS_PEDANTIC_MATH;
  return CUBLAS_STATUS_SUCCESS;
}

// Refused without a workspace or in another mode than pedantic: results could differ from run to run, or be TF32's.
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n,
                              int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  const bool sizes = m > 0 && n > 0 && k > 0 && ldc >= m && lda >= (a_as == CUBLAS_OP_N ? m : k) &&
                     ldb >= (b_as == CUBLAS_OP_N ? k : n);
  if (!sizes || *alpha != 1.0f || *beta != 0.0f) return CUBLAS_STATUS_INVALID_VALUE;
  const bool there = simt::on_gpu(a, extent(lda, a_as == CUBLAS_OP_N ? k : m)) &&
                     simt::on_gpu(b, extent(ldb, b_as == CUBLAS_OP_N ? n : k)) && simt::on_gpu(c, extent(ldc, n));
  if (!there) return CUBLAS_STATUS_MAPPING_ERROR;
  if (handle->stream == nullptr || handle->workspace == nullptr || !handle->pedantic)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  handle->stream->add([=, workspace = handle->workspace, size = handle->workspace_size] {
    std::memset(workspace, 0xff, std::min(size, std::size_t{1} << 16));
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
