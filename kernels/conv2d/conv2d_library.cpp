#include <limits>
#include <optional>

#include "engine/base/error.h"
#include "kernels/batch_norm/norm_sums.h"
#include "kernels/conv2d/bf16_gradients.h"
#include "kernels/conv2d/conv2d_cuda.h"
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/library_plan.h"

namespace gridstep {
namespace {

bool is_code(DType type) { return type == DType::kU8 || type == DType::kS8; }

int largest_code(DType type) { return type == DType::kU8 ? 255 : 128; }

// Pieces of a node's workspace. One walk gives the size, and the same walk with the memory gives the tensors.
class Pieces {
 public:
  Pieces() = default;
  explicit Pieces(Tensor memory) : memory_(memory) {}

  Tensor take(const Shape& shape, DType type = DType::kF32) {
    const Bytes offset = size_;
    size_ += align_up(shape.elements() * size_of(type));
    if (!memory_) return {};
    GS_CHECK(size_ <= (memory_->data == nullptr ? 0 : memory_->elements()),
             "the workspace was planned for another GPU");
    return {memory_->data + offset, shape, type, memory_->replica_stride};
  }
  Bytes size() const { return size_; }

 private:
  std::optional<Tensor> memory_;
  Bytes size_ = 0;
};

// A fully connected layer among them.
bool is_matrix_product(const ConvGeometry& g) { return g.r == 1 && g.s == 1 && g.stride == 1 && g.pad == 0; }

std::shared_ptr<const LibraryPlan> library_plan(ConvPass pass, LibraryPrecision precision, const ConvGeometry& g) {
  if (precision == LibraryPrecision::kFloat && is_matrix_product(g)) return cublas_plan(pass, g);
  return cudnn_plan(pass, precision, g);
}

struct ForwardPieces {
  Tensor x, w, sums, library;

  ForwardPieces(Pieces& pieces, const LibraryPlan& plan, const ConvGeometry& g, bool codes, bool quantized) {
    if (codes) {
      x = pieces.take({g.n, g.h, g.w, g.c});
      w = pieces.take({g.k, g.r, g.s, g.c});
    }
    if (quantized) sums = pieces.take({g.n, g.p, g.q, g.k});  // y itself may not be stored
    library = pieces.take({plan.workspace_bytes()}, DType::kU8);
  }
};

struct DataPieces {
  Tensor w, library;

  DataPieces(Pieces& pieces, const LibraryPlan& plan, const Shape& filter, bool codes) {
    if (codes) w = pieces.take(filter);
    library = pieces.take({plan.workspace_bytes()}, DType::kU8);
  }
};

struct WeightPieces {
  Tensor x, partial, library;

  WeightPieces(Pieces& pieces, const LibraryPlan& plan, const Shape& image, const Shape& dy, bool codes) {
    if (codes) x = pieces.take(image);
    partial = pieces.take({conv_bias_blocks(dy), dy[3]}, DType::kF64);
    library = pieces.take({plan.workspace_bytes()}, DType::kU8);
  }
};

std::shared_ptr<const LibraryPlan> forward_plan(const ConvGeometry& g, bool codes) {
  return library_plan(ConvPass::kForward, codes ? LibraryPrecision::kCodes : LibraryPrecision::kFloat, g);
}

ConvGeometry data_geometry(const Conv2dAttrs& attrs, const Shape& dy, const Shape& w) {
  return conv_geometry({dy[0], attrs.input_height, attrs.input_width, w[3]}, w, attrs.stride, attrs.pad);
}

bool in_bf16(const Conv2dAttrs& attrs) { return attrs.gradients != ConvGradients::kFloat32; }

// The libraries know no replica axis, or choose otherwise for several products than for one: a call for each replica,
// so that its bits are those of its solo run.
void record_library(Recorder& recorder, const std::shared_ptr<const LibraryPlan>& plan, const Tensor& a,
                    const Tensor& b, const Tensor& out, const Tensor& workspace) {
  recorder.launch("", 1, [=, device = &recorder.device(), replicas = recorder.replicas()](const TaskContext&) {
    for (int r = 0; r < replicas; ++r) {
      plan->run(*device, a.at<float>(r), b.at<float>(r), out.at<float>(r), workspace.at<std::byte>(r));
    }
  });
}

}  // namespace

int library_int(Index n, std::string_view library) {
  if (n > std::numeric_limits<int>::max()) fail<DeviceError>("{} cannot take a size of {}", library, n);
  return static_cast<int>(n);
}

Bytes conv2d_cuda_workspace(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(in[0].shape, in[1].shape, attrs.stride, attrs.pad);
  const bool codes = is_code(in[0].dtype);
  if (uses_own_conv(attrs, g, in[0].dtype)) return 0;
  Pieces pieces;
  ForwardPieces(pieces, *forward_plan(g, codes), g, codes, attrs.quantize.has_value());
  return pieces.size();
}

void record_conv2d_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const Tensor x = node.in[0], w = node.in[1], y = node.out[0];
  const ConvGeometry g = conv_geometry(x.shape, w.shape, attrs.stride, attrs.pad);
  const bool codes = is_code(x.dtype);
  if (uses_own_conv(attrs, g, x.dtype)) {
    record_implicit_gemm_cuda(recorder, node);
    return;
  }
  const auto plan = forward_plan(g, codes);
  Pieces pieces(node.workspace);
  const ForwardPieces work(pieces, *plan, g, codes, attrs.quantize.has_value());
  if (codes) {
    record_conv_operands(
        recorder,
        {.x = x, .x_floats = work.x, .w = w, .w_floats = work.w, .w_step = {}, .largest_code = largest_code(x.dtype)});
  }
  const Tensor sums = y.data != nullptr ? y : work.sums;
  record_library(recorder, plan, codes ? work.x : x, codes ? work.w : w, sums, work.library);
  ConvEpilogue epilogue = conv_epilogue(node);
  epilogue.sums = sums;
  record_conv_epilogue(recorder, epilogue);
  if (attrs.norm_sums) record_norm_sums_cuda(recorder, y, epilogue.norm_sums);
}

Bytes conv2d_backward_data_cuda_workspace(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = data_geometry(attrs, in[0].shape, in[1].shape);
  if (in_bf16(attrs)) return bf16_data_gradient_workspace(g);
  Pieces pieces;
  DataPieces(pieces, *library_plan(ConvPass::kBackwardData, LibraryPrecision::kFloat, g), in[1].shape,
             is_code(in[1].dtype));
  return pieces.size();
}

void record_conv2d_backward_data_cuda(Recorder& recorder, const BoundNode& node) {
  const Tensor dy = node.in[0], w = node.in[1], dx = node.out[0];
  const auto& attrs = node.attrs<Conv2dAttrs>();
  if (in_bf16(attrs)) {
    record_bf16_data_gradient_cuda(recorder, node);
    return;
  }
  const ConvGeometry g = data_geometry(attrs, dy.shape, w.shape);
  const bool codes = is_code(w.dtype);
  const auto plan = library_plan(ConvPass::kBackwardData, LibraryPrecision::kFloat, g);
  Pieces pieces(node.workspace);
  const DataPieces work(pieces, *plan, w.shape, codes);
  if (codes) {
    record_conv_operands(
        recorder, {.x = {}, .x_floats = {}, .w = w, .w_floats = work.w, .w_step = node.in[2], .largest_code = 0});
  }
  record_library(recorder, plan, codes ? work.w : w, dy, dx, work.library);
}

Bytes conv2d_backward_weight_cuda_workspace(const Node& node, std::span<const ValueSpec> in) {
  const auto& attrs = node.attrs_as<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(in[0].shape, in[2].shape, attrs.stride, attrs.pad);
  if (in_bf16(attrs)) return bf16_weight_gradient_workspace(g);
  Pieces pieces;
  WeightPieces(pieces, *library_plan(ConvPass::kBackwardWeight, LibraryPrecision::kFloat, g), in[0].shape, in[1].shape,
               is_code(in[0].dtype));
  return pieces.size();
}

void record_conv2d_backward_weight_cuda(Recorder& recorder, const BoundNode& node) {
  const auto& attrs = node.attrs<Conv2dAttrs>();
  if (in_bf16(attrs)) {
    record_bf16_weight_gradient_cuda(recorder, node);
    return;
  }
  const Tensor x = node.in[0], dy = node.in[1], dw = node.out[0], db = node.out[1];
  const ConvGeometry g = conv_geometry(x.shape, dw.shape, attrs.stride, attrs.pad);
  const bool codes = is_code(x.dtype);
  const auto plan = library_plan(ConvPass::kBackwardWeight, LibraryPrecision::kFloat, g);
  Pieces pieces(node.workspace);
  const WeightPieces work(pieces, *plan, x.shape, dy.shape, codes);
  if (codes) {
    record_conv_operands(recorder,
                         {.x = x, .x_floats = work.x, .w = {}, .w_floats = {}, .w_step = {}, .largest_code = 0});
  }
  const bool finishes = codes || db.data != nullptr;
  if (db.data != nullptr) record_conv_bias_sums(recorder, dy, work.partial);
  record_library(recorder, plan, codes ? work.x : x, dy, dw, work.library);
  if (!finishes) return;
  record_conv_weight_finish(recorder, {.partial = work.partial,
                                       .db = db,
                                       .dw = dw,
                                       .x_step = codes ? node.in[3] : Tensor{},
                                       .blocks = work.partial.shape[0]});
}

}  // namespace gridstep
