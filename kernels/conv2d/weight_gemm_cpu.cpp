#include "kernels/conv2d/weight_gemm_cpu.h"

#include <algorithm>
#include <map>
#include <memory>

#include "kernels/conv2d/conv2d_chunks.h"
#include "kernels/conv2d/onednn.h"

namespace gridstep {
namespace {

constexpr Index kFilterGroup = 16;  // filters that no task cuts: whole vectors for the library

// As a matrix product it pays for every shape.
bool product_in_bf16(const Conv2dAttrs& attrs) { return attrs.gradients != ConvGradients::kFloat32; }

Index pixels_of(const ConvGeometry& g) { return g.n * g.p * g.q; }
Index fan_in_of(const ConvGeometry& g) { return g.r * g.s * g.c; }

// The columns of one output pixel.
template <class T, class Column>
void gather(const ConvGeometry& g, const T* image, Index p, Index q, Column* row) {
  for (Index r = 0; r < g.r; ++r) {
    const Index y = p * g.stride + r - g.pad;
    for (Index s = 0; s < g.s; ++s, row += g.c) {
      const Index x = q * g.stride + s - g.pad;
      if (y < 0 || y >= g.h || x < 0 || x >= g.w) {
        std::fill_n(row, g.c, Column{});
      } else {
        convert(image + (y * g.w + x) * g.c, g.c, row);
      }
    }
  }
}

template <class Column, class T>
void record_columns_of(Recorder& recorder, const ConvGeometry& g, const Tensor& x, const Tensor& columns) {
  const int tasks = Recorder::chunks(g.n);
  recorder.launch("columns", tasks, [=](const TaskContext& t) {
    const auto [begin, end] = Recorder::part(g.n, tasks, t.task);
    for (Index n = begin; n < end; ++n) {
      const T* const image = x.at<T>(t.replica) + n * g.h * g.w * g.c;
      for (Index i = 0; i < g.p * g.q; ++i) {
        gather(g, image, i / g.q, i % g.q, columns.at<Column>(t.replica) + (n * g.p * g.q + i) * fan_in_of(g));
      }
    }
  });
}

template <class Column>
void record_columns(Recorder& recorder, const ConvGeometry& g, const Tensor& x, const Tensor& columns) {
  if (x.dtype == DType::kU8) {
    record_columns_of<Column, std::uint8_t>(recorder, g, x, columns);
  } else if (x.dtype == DType::kS8) {
    record_columns_of<Column, std::int8_t>(recorder, g, x, columns);
  } else {
    record_columns_of<Column, float>(recorder, g, x, columns);
  }
}

// Sums over pixels in double, in order.
void add_up_bias(const ConvGeometry& g, const float* dy, Recorder::Range filters, float* db) {
  for (Index k = filters.begin; k < filters.end; ++k) {
    double sum = 0.0;
    for (Index i = 0; i < pixels_of(g); ++i) sum += static_cast<double>(dy[i * g.k + k]);
    db[k] = static_cast<float>(sum);
  }
}

// The filters cut into tasks of whole groups, of at most two sizes besides a last group that is not whole.
struct FilterTasks {
  Index filters, groups;
  int tasks;

  explicit FilterTasks(const ConvGeometry& g)
      : filters(g.k), groups((g.k + kFilterGroup - 1) / kFilterGroup), tasks(Recorder::chunks(groups)) {}
  Recorder::Range range(int task) const {
    const auto part = Recorder::part(groups, tasks, task);
    return {part.begin * kFilterGroup, std::min(filters, part.end * kFilterGroup)};
  }
};

// The product of a task's filters with the columns in bf16: dy of its filters, rounded, lies in the scratch memory.
class Bf16Products {
 public:
  Bf16Products(const ConvGeometry& g, const FilterTasks& cut) : g_(g), cut_(cut) {
    Index largest = 0;
    for (int task = 0; task < cut.tasks; ++task) {
      const Index size = cut.range(task).size();
      largest = std::max(largest, size);
      auto& product = products_[size];
      if (product == nullptr) product = bf16_product({.rows = size, .columns = fan_in_of(g), .depth = pixels_of(g)});
      product_scratch_ = std::max(product_scratch_, product->scratch_bytes());
    }
    dy_bytes_ = bf16_bytes(largest * pixels_of(g));
  }
  Bytes scratch_bytes() const { return dy_bytes_ + product_scratch_; }

  void run(int task, const float* dy, const Bf16* columns, float* dw, std::byte* scratch) const {
    const auto filters = cut_.range(task);
    const Index pixels = pixels_of(g_);
    auto* const rounded = reinterpret_cast<Bf16*>(scratch);
    for (Index i = 0; i < pixels; ++i)
      convert(dy + i * g_.k + filters.begin, filters.size(), rounded + i * filters.size());
    products_.at(filters.size())->run(rounded, columns, dw, scratch + dy_bytes_);
  }

 private:
  ConvGeometry g_;
  FilterTasks cut_;
  std::map<Index, std::shared_ptr<const Bf16Product>> products_;  // by the number of filters
  Bytes dy_bytes_ = 0, product_scratch_ = 0;
};

}  // namespace

// With up to twice as many pixels as filters, columns are smaller than the copies of dw that they save.
bool uses_weight_gemm(const ConvGeometry& g) { return pixels_of(g) > 0 && pixels_of(g) <= 2 * g.k; }

Bytes weight_gemm_workspace(const ConvGeometry& g, const Conv2dAttrs& attrs) {
  const Index elements = pixels_of(g) * fan_in_of(g);
  return product_in_bf16(attrs) ? bf16_bytes(elements) : float_bytes(elements);
}

Bytes weight_gemm_scratch(const ConvGeometry& g, const Conv2dAttrs& attrs) {
  return product_in_bf16(attrs) ? Bf16Products(g, FilterTasks(g)).scratch_bytes() : 0;
}

void record_weight_gemm_cpu(Recorder& recorder, const BoundNode& node) {
  const Tensor x = node.in[0], dy = node.in[1], sx = node.in[3], dw = node.out[0], db = node.out[1],
               columns = node.workspace;
  const auto& attrs = node.attrs<Conv2dAttrs>();
  const ConvGeometry g = conv_geometry(x.shape, dw.shape, attrs.stride, attrs.pad);
  const FilterTasks cut(g);
  std::shared_ptr<const Bf16Products> products;
  if (product_in_bf16(attrs)) {
    products = std::make_shared<const Bf16Products>(g, cut);
    recorder.need_scratch(products->scratch_bytes());
    record_columns<Bf16>(recorder, g, x, columns);
  } else {
    record_columns<float>(recorder, g, x, columns);
  }
  recorder.launch("", cut.tasks, [=, codes = is_code(x.dtype)](const TaskContext& t) {
    const Recorder::Range filters = cut.range(t.task);
    const Index fan_in = fan_in_of(g);
    const float* const gradient = dy.at<float>(t.replica);
    float* const result = dw.at<float>(t.replica) + filters.begin * fan_in;
    if (products != nullptr) {
      products->run(t.task, gradient, columns.at<Bf16>(t.replica), result, t.scratch);
    } else {
      multiply_transposed({.rows = filters.size(), .columns = fan_in, .depth = pixels_of(g)}, gradient + filters.begin,
                          g.k, columns.at<float>(t.replica), result);
    }
    if (codes) {
      const float s = *sx.at<float>(t.replica);
      for (Index i = 0; i < filters.size() * fan_in; ++i) result[i] *= s;
    }
    if (db.data != nullptr) add_up_bias(g, gradient, filters, db.at<float>(t.replica));
  });
}

}  // namespace gridstep
