// A batch cut into chunks for oneDNN, and codes expanded to floats: shared by the three passes of the CPU convolution.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/bfloat16.h"
#include "kernels/conv2d/conv2d_launch.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {

inline bool is_code(DType type) { return type == DType::kU8 || type == DType::kS8; }
inline bool uses_int8(DType x) { return is_code(x) && int8_convolution_is_exact(); }

// Whether a gradient is faster in bfloat16 than in float32, by its shape alone: the processor must not change which
// layers. Measured on AMX with oneDNN 2.6.3 (docs/decisions.md): its tiles take pixels of one row and 32 channels, so
// that short rows, and the three channels of an image, leave them empty.
inline bool bfloat16_pays(ConvPass pass, const ConvGeometry& g) {
  return pass == ConvPass::kBackwardData ? g.q > 5 : g.q > 8 && g.c >= 8;
}

inline bool in_bf16(const Conv2dAttrs& attrs, ConvPass pass, const ConvGeometry& g) {
  return attrs.gradients == ConvGradients::kBfloat16Always ||
         (attrs.gradients == ConvGradients::kBfloat16 && bfloat16_pays(pass, g));
}

inline ConvGeometry with_batch(ConvGeometry g, Index n) {
  g.n = n;
  return g;
}

// A batch cut into chunks of at most two sizes, with a primitive for each.
class ChunkedConv {
 public:
  ChunkedConv(ConvPass pass, const ConvGeometry& g, DType source) : n_(g.n), chunks_(Recorder::chunks(g.n)) {
    for (int i = 0; i < chunks_; ++i) {
      const Index size = Recorder::part(n_, chunks_, i).size();
      if (small_ && size == small_size_) continue;
      (small_ ? large_ : small_) = conv_primitive(pass, with_batch(g, size), source);
      if (!large_) small_size_ = size;
    }
  }
  int chunks() const { return chunks_; }
  Recorder::Range range(int chunk) const { return Recorder::part(n_, chunks_, chunk); }
  const ConvPrimitive& of(int chunk) const { return range(chunk).size() == small_size_ ? *small_ : *large_; }
  // Both sizes may prefer different filter layouts: packed filters are kept per size.
  int variants() const { return large_ ? 2 : (small_ ? 1 : 0); }
  const ConvPrimitive& variant(int i) const { return i == 0 ? *small_ : *large_; }
  int variant_of(int chunk) const { return range(chunk).size() == small_size_ ? 0 : 1; }
  Bytes filter_bytes() const {
    return std::max(small_ ? small_->filter_bytes() : 0, large_ ? large_->filter_bytes() : 0);
  }
  Bytes scratch_bytes() const {
    return std::max(small_ ? small_->scratch_bytes() : 0, large_ ? large_->scratch_bytes() : 0);
  }
  Index largest() const { return chunks_ == 0 ? 0 : (n_ + chunks_ - 1) / chunks_; }

 private:
  Index n_;
  int chunks_;
  Index small_size_ = -1;
  std::shared_ptr<const ConvPrimitive> small_, large_;
};

template <class T>
Bytes array_bytes(Index n) {
  return align_up(n * static_cast<Bytes>(sizeof(T)));
}
inline Bytes float_bytes(Index n) { return array_bytes<float>(n); }
inline Bytes bf16_bytes(Index n) { return array_bytes<Bf16>(n); }

// As floats, beside convert() to bfloat16: exact.
template <class T>
void convert(const T* x, Index n, float* out) {
  for (Index i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]);
}

// Floats or codes; Out: float or Bf16.
template <class Out>
void convert_values(DType type, const std::byte* x, Index n, Out* out) {
  if (type == DType::kU8) {
    convert(reinterpret_cast<const std::uint8_t*>(x), n, out);
  } else if (type == DType::kS8) {
    convert(reinterpret_cast<const std::int8_t*>(x), n, out);
  } else {
    convert(reinterpret_cast<const float*>(x), n, out);
  }
}

inline ValueSpec spec_of(const Tensor& t) { return {t.shape, t.dtype}; }

}  // namespace gridstep
