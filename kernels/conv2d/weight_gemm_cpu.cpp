#include "kernels/conv2d/weight_gemm_cpu.h"

#include <algorithm>

#include "kernels/conv2d/conv2d_chunks.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {
namespace {

constexpr Index kFilterGroup = 16;  // filters that no task cuts: whole vectors for the library

Index pixels_of(const ConvGeometry& g) { return g.n * g.p * g.q; }
Index fan_in_of(const ConvGeometry& g) { return g.r * g.s * g.c; }

// The columns of one output pixel.
template <class T>
void gather(const ConvGeometry& g, const T* image, Index p, Index q, float* row) {
  for (Index r = 0; r < g.r; ++r) {
    const Index y = p * g.stride + r - g.pad;
    for (Index s = 0; s < g.s; ++s, row += g.c) {
      const Index x = q * g.stride + s - g.pad;
      if (y < 0 || y >= g.h || x < 0 || x >= g.w) {
        std::fill_n(row, g.c, 0.0f);
      } else {
        expand(image + (y * g.w + x) * g.c, g.c, row);
      }
    }
  }
}

template <class T>
void record_columns(Recorder& recorder, const ConvGeometry& g, const Tensor& x, const Tensor& columns) {
  const int tasks = Recorder::chunks(g.n);
  recorder.launch("columns", tasks, [=](const TaskContext& t) {
    const auto [begin, end] = Recorder::part(g.n, tasks, t.task);
    for (Index n = begin; n < end; ++n) {
      const T* const image = x.at<T>(t.replica) + n * g.h * g.w * g.c;
      for (Index i = 0; i < g.p * g.q; ++i) {
        gather(g, image, i / g.q, i % g.q, columns.at<float>(t.replica) + (n * g.p * g.q + i) * fan_in_of(g));
      }
    }
  });
}

// Sums over pixels in double, in order.
void add_up_bias(const ConvGeometry& g, const float* dy, Recorder::Range filters, float* db) {
  for (Index k = filters.begin; k < filters.end; ++k) {
    double sum = 0.0;
    for (Index i = 0; i < pixels_of(g); ++i) sum += static_cast<double>(dy[i * g.k + k]);
    db[k] = static_cast<float>(sum);
  }
}

}  // namespace

// With up to twice as many pixels as filters, columns are smaller than the copies of dw that they save.
bool uses_weight_gemm(const ConvGeometry& g) { return pixels_of(g) > 0 && pixels_of(g) <= 2 * g.k; }

Bytes weight_gemm_workspace(const ConvGeometry& g) { return float_bytes(pixels_of(g) * fan_in_of(g)); }

void record_weight_gemm_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], dy = node.in[1], sx = node.in[3], dw = node.out[0], db = node.out[1],
               columns = node.workspace;
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(x.shape, dw.shape, attrs.stride, attrs.pad);
  if (x.dtype == DType::kU8) {
    record_columns<std::uint8_t>(recorder, g, x, columns);
  } else if (x.dtype == DType::kS8) {
    record_columns<std::int8_t>(recorder, g, x, columns);
  } else {
    record_columns<float>(recorder, g, x, columns);
  }
  const Index groups = (g.k + kFilterGroup - 1) / kFilterGroup;
  const int tasks = Recorder::chunks(groups);
  recorder.launch("", tasks, [=, codes = is_code(x.dtype)](const TaskContext& t) {
    const auto part = Recorder::part(groups, tasks, t.task);
    const Recorder::Range filters{part.begin * kFilterGroup, std::min(g.k, part.end * kFilterGroup)};
    const Index fan_in = fan_in_of(g);
    const float* const gradient = dy.at<float>(t.replica);
    float* const result = dw.at<float>(t.replica) + filters.begin * fan_in;
    multiply_transposed({.rows = filters.size(), .columns = fan_in, .depth = pixels_of(g)}, gradient + filters.begin,
                        g.k, columns.at<float>(t.replica), result);
    if (codes) {
      const float s = *sx.at<float>(t.replica);
      for (Index i = 0; i < filters.size() * fan_in; ++i) result[i] *= s;
    }
    if (db.data != nullptr) add_up_bias(g, gradient, filters, db.at<float>(t.replica));
  });
}

}  // namespace gridstep
