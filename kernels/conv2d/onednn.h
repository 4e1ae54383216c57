// oneDNN's convolutions behind a small interface: the only place that knows the library and its two API generations.
// All primitives are made and run with one thread: the executor spreads tasks, no library does.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/conv2d/conv2d.h"

namespace gridstep {

struct Bf16;  // kernels/common/bfloat16.h

enum class ConvPass {
  kForward,
  kForwardInt8,
  kBackwardData,
  kBackwardWeight,
  kBackwardDataBf16,
  kBackwardWeightBf16,
};

// One convolution of fixed geometry (of one chunk of a batch), activations NHWC, filters in the layout the library
// prefers. f32, but for kForwardInt8: source u8 (or s8), filter s8, destination s32; and for the passes in bf16: all
// operands are bf16, the result is f32.
class ConvPrimitive {
 public:
  virtual ~ConvPrimitive() = default;

  virtual Bytes filter_bytes() const = 0;   // in the preferred layout, aligned
  virtual Index filter_floats() const = 0;  // of which this many hold the filter, padding included (f32 filters)
  virtual Bytes scratch_bytes() const = 0;  // of any of the below

  // (K, R, S, C) to the preferred layout and back. The preferred layout may be padded; padding is zero.
  virtual void pack_filter(const void* krsc, void* packed, std::byte* scratch) const = 0;
  virtual void unpack_filter(const void* packed, void* krsc, std::byte* scratch) const = 0;

  // forward: in -> out with filter;  backward data: dy -> dx with filter;  backward weight: x, dy -> packed dw, db. In
  // bf16 there is no db: null.
  virtual void run_forward(const void* in, const void* packed, void* out, std::byte* scratch) const = 0;
  virtual void run_backward_data(const void* dy, const void* packed, float* dx, std::byte* scratch) const = 0;
  virtual void run_backward_weight(const void* x, const void* dy, float* packed_dw, float* db,
                                   std::byte* scratch) const = 0;
};

// Made once per (pass, geometry) and kept for the life of the process.
std::shared_ptr<const ConvPrimitive> conv_primitive(ConvPass pass, const ConvGeometry& geometry,
                                                    DType source = DType::kF32);

// c (rows, columns) = a^T b on one thread: a (depth, rows) with rows `stride` apart, b (depth, columns).
struct MatrixSizes {
  Index rows, columns, depth;
};
void multiply_transposed(const MatrixSizes& sizes, const float* a, Index stride, const float* b, float* c);

// The same on bf16, all operands dense; c is f32.
class Bf16Product {
 public:
  virtual ~Bf16Product() = default;
  virtual Bytes scratch_bytes() const = 0;  // of run()
  virtual void run(const Bf16* a, const Bf16* b, float* c, std::byte* scratch) const = 0;
};
std::shared_ptr<const Bf16Product> bf16_product(const MatrixSizes& sizes);

std::string convolution_library();  // "oneDNN 2.6.3"

// Whether int8 convolutions give exact sums here: VNNI, or GRIDSTEP_INT8_CONV=1 for ranges the caller knows to be safe.
bool int8_convolution_is_exact();

// Whether the library multiplies bf16 by instructions made for it here (AVX-512 BF16 or AMX). Without them it would
// emulate them, slower than float32.
bool bf16_is_native();

}  // namespace gridstep
