// 2-D convolution (cross-correlation), with or without bias, on floats or on integer codes.
//
//   x: (N, H, W, C) f32, or codes u8/s8;  w: (K, R, S, C) f32, or codes s8;  b: (K) f32;  y: (N, P, Q, K) f32
//   P = (H + 2 pad - R) / stride + 1, likewise Q. Padding is zero (code 0: the grids are symmetric about it).
//
//   on floats   y = conv(x, w) + b
//   on codes    y = float(sum q_x q_w) * s[k] + b[k],  s[k] = s_x * s_w[k] formed first, every operation rounded, no
//   fma.
//               The sum is exact: see `Exactness`.  s_x: (1);  s_w: (1) or (K)
//
//   backward    dx = conv^T(dy, w_real),  dw = corr(x_real, dy),  db = sum dy;  on codes x_real = s_x q_x and w_real =
//   s_w[k] q_w, so these are
//               the gradients by the real values: the quantizers' own rules take them on.
//
//   backward in bfloat16 (ConvGradients; b() rounds to bfloat16, sums and results are float32)
//     on floats  dx = conv^T(b(dy), b(w)),              dw = corr(b(x), b(dy)),       db = sum dy
//     on codes   dx = conv^T(b(dy s_w[k]), q_w),        dw = s_x corr(q_x, b(dy)),    db = sum dy
//   Codes are exact in bfloat16, so that each product has one rounding, of dy: at most 2^-8 of it.
//
// Exactness of the codes form: the own CUDA kernel adds in int32, and so does the CPU where it has VNNI. Else sums run
// in float32, which is exact while every output channel's sum |q_w| * max|q_x| <= 2^24. Channels beyond that are
// counted in ReplicaStatus::inexact at every step.
//
// After fusion with a quantizer (attrs.quantize) the node also yields its codes and step: (y, codes, step); y itself is
// not stored when nobody reads it. Same codes as unfused, bit for bit.
//
// In graphs without a gradient (attrs.inference, set by passes/fold.h) fusion takes in more. The epilogue then does, in
// this order, each operation rounded:
//   add   y = y + residual       relu   y = max(y, 0)       quantize   codes of y, which others may read as well
// Steps s_w[k] may be negative or 0 there: those of a folded batch normalisation.
//
// Deterministic: the batch is cut into fixed chunks, weight gradients of the chunks are added in chunk order. The float
// sums' order within a chunk is oneDNN's (cuDNN's): the same for the same library and instruction set. The own
// gradients on CUDA cut pixels into pieces by the geometry.
#pragma once

#include <optional>

#include "engine/graph/op.h"
#include "kernels/conv2d/gemm_choice.h"
#include "kernels/quantize/quantize.h"

namespace gridstep {

// What computes the forward pass on codes on CUDA: the own kernel (implicit_gemm.h) or cuDNN on codes expanded to
// float32. kAuto: as conv_choice.h says. Nothing else depends on it; the bits do not either.
enum class ConvEngine { kAuto, kOwn, kCudnn };

// What the gradients' products are rounded to. Sums are float32 either way. Changes bits. kBfloat16: on the CPU where
// bfloat16_pays() says so, on CUDA in every layer; kBfloat16Always: in every layer, for tests.
enum class ConvGradients { kFloat32, kBfloat16, kBfloat16Always };

struct Conv2dAttrs {
  Index stride = 1, pad = 0;
  std::optional<QuantizeAttrs> quantize;    // set by fusion
  Index input_height = 0, input_width = 0;  // backward_data only: the shape to return to
  ConvEngine engine = ConvEngine::kAuto;
  int largest_x = 0, largest_w = 0;     // magnitudes of codes; 0: those of the types
  std::optional<GemmChoice> gemm = {};  // variant of the own kernel; unset: as conv_choice.h says
  bool norm_sums = false;               // set by fusion; never with `quantize`
  ConvGradients gradients = ConvGradients::kFloat32;
  bool inference = false;          // the graph has no gradient
  bool add = false, relu = false;  // set by fusion, with `inference` only
};

// (x, w, b?, s_x?, s_w?, residual if `add`, parameter and s0 if `quantize`) -> (y, codes and step if `quantize`)
const OpDef& conv2d_op();
const OpDef& conv2d_backward_data_op();    // (dy, w, s_w?) -> dx
const OpDef& conv2d_backward_weight_op();  // (x, dy, w, s_x?) -> (dw, db?); w gives the shape only

struct ConvInputs {
  ValueId x, w, bias = kNoValue, x_step = kNoValue, w_step = kNoValue;
  int largest_x = 0, largest_w = 0;  // as in Conv2dAttrs
};
ValueId conv2d(Graph& graph, const std::string& name, const ConvInputs& in, Index stride, Index pad);

// Sets the engine of every convolution of the graph.
void set_conv_engine(Graph& graph, ConvEngine engine);
// Sets what the gradients of every convolution will be computed in; before the graph is differentiated.
void set_conv_gradients(Graph& graph, ConvGradients gradients);

struct ConvGeometry {
  Index n, h, w, c, k, r, s, p, q, stride, pad;
  // Multiply-accumulates of one forward pass, padding included.
  Index macs() const { return n * p * q * k * r * s * c; }
  bool operator==(const ConvGeometry&) const = default;
};
ConvGeometry conv_geometry(const Shape& x, const Shape& w, Index stride, Index pad);

}  // namespace gridstep
