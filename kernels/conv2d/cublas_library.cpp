#include "engine/device/cuda/cuda_libraries.h"
#include "kernels/conv2d/library_plan.h"

namespace gridstep {
namespace {

// A matrix of M x N by rows is one of N x M by columns, which is how cuBLAS counts: each product is asked for
// transposed, its factors exchanged.
class Product final : public LibraryPlan {
 public:
  Product(ConvPass pass, const ConvGeometry& g)
      : pass_(pass),
        pixels_(library_int(g.n * g.h * g.w, kName)),
        inputs_(library_int(g.c, kName)),
        outputs_(library_int(g.k, kName)) {}

  Bytes workspace_bytes() const override { return 0; }  // the handle has its own

  void run(Device& device, const float* a, const float* b, float* out, std::byte*) const override {
    const cublasHandle_t handle = cublas_handle(device);
    switch (pass_) {
      case ConvPass::kForward:  // y = x w^T
        return multiply(handle, {b, inputs_, CUBLAS_OP_T}, {a, inputs_, CUBLAS_OP_N}, outputs_, pixels_, inputs_, out);
      case ConvPass::kBackwardData:  // dx = dy w
        return multiply(handle, {a, inputs_, CUBLAS_OP_N}, {b, outputs_, CUBLAS_OP_N}, inputs_, pixels_, outputs_, out);
      case ConvPass::kBackwardWeight:  // dw = dy^T x
        return multiply(handle, {a, inputs_, CUBLAS_OP_N}, {b, outputs_, CUBLAS_OP_T}, inputs_, outputs_, pixels_, out);
    }
  }

 private:
  static constexpr std::string_view kName = "cuBLAS";

  struct Factor {
    const float* data;
    int leading;
    cublasOperation_t operation;
  };

  // out, rows x columns by columns, is the product over `depth`.
  static void multiply(cublasHandle_t handle, const Factor& a, const Factor& b, int rows, int columns, int depth,
                       float* out) {
    constexpr float kOne = 1.0f, kZero = 0.0f;
    GS_CUBLAS(cublasSgemm(handle, a.operation, b.operation, rows, columns, depth, &kOne, a.data, a.leading, b.data,
                          b.leading, &kZero, out, rows));
  }

  ConvPass pass_;
  int pixels_, inputs_, outputs_;
};

}  // namespace

std::shared_ptr<const LibraryPlan> cublas_plan(ConvPass pass, const ConvGeometry& geometry) {
  return std::make_shared<Product>(pass, geometry);
}

}  // namespace gridstep
