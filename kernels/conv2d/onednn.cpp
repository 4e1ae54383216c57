#include "kernels/conv2d/onednn.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>

#include "engine/base/error.h"
#include "engine/device/cpu_info.h"

namespace gridstep {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Each thread its own stream; and its own setting of one OpenMP thread, since the library asks OpenMP wherever it runs.
dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream = [] {
    omp_set_num_threads(1);
    return dnnl::stream(cpu_engine());
  }();
  return stream;
}

struct Descriptors {
  memory::desc source, filter, krsc, bias, destination;  // filter: as the library prefers, krsc: as stored here
  memory::dims strides, padding;
};

bool is_bf16(ConvPass pass) { return pass == ConvPass::kBackwardDataBf16 || pass == ConvPass::kBackwardWeightBf16; }

using Type = memory::data_type;
struct Types {
  Type source, filter, destination;
};

Types types_of(ConvPass pass, DType source) {
  switch (pass) {
    case ConvPass::kForwardInt8:
      return {source == DType::kU8 ? Type::u8 : Type::s8, Type::s8, Type::s32};
    case ConvPass::kBackwardDataBf16:
      return {Type::f32, Type::bf16, Type::bf16};
    case ConvPass::kBackwardWeightBf16:
      return {Type::bf16, Type::f32, Type::bf16};
    default:
      return {Type::f32, Type::f32, Type::f32};
  }
}

Descriptors describe(const ConvGeometry& g, const Types& types, bool with_bias) {
  return {memory::desc({g.n, g.c, g.h, g.w}, types.source, Tag::nhwc),
          memory::desc({g.k, g.c, g.r, g.s}, types.filter, Tag::any),
          memory::desc({g.k, g.c, g.r, g.s}, types.filter, Tag::ohwi),
          with_bias ? memory::desc({g.k}, Type::f32, Tag::x) : memory::desc(),
          memory::desc({g.n, g.k, g.p, g.q}, types.destination, Tag::nhwc),
          {g.stride, g.stride},
          {g.pad, g.pad}};
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

#if DNNL_VERSION_MAJOR >= 3
dnnl::convolution_forward::primitive_desc forward_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {cpu_engine(), dnnl::prop_kind::forward_training,
          kDirect,      d.source,
          d.filter,     d.destination,
          d.strides,    d.padding,
          d.padding,    attr};
}
dnnl::convolution_backward_data::primitive_desc data_desc(const Descriptors& d, const Descriptors& hint,
                                                          const dnnl::primitive_attr& attr) {
  return {cpu_engine(),           kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding,
          forward_desc(hint, {}), attr};
}
dnnl::convolution_backward_weights::primitive_desc weight_desc(const Descriptors& d, const Descriptors& hint,
                                                               const dnnl::primitive_attr& attr) {
  return {cpu_engine(),           kDirect, d.source, d.filter, d.bias, d.destination, d.strides, d.padding, d.padding,
          forward_desc(hint, {}), attr};
}
#else
dnnl::convolution_forward::primitive_desc forward_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {
      {dnnl::prop_kind::forward_training, kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding},
      attr,
      cpu_engine()};
}
dnnl::convolution_backward_data::primitive_desc data_desc(const Descriptors& d, const Descriptors& hint,
                                                          const dnnl::primitive_attr& attr) {
  return {{kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding},
          attr,
          cpu_engine(),
          forward_desc(hint, {})};
}
dnnl::convolution_backward_weights::primitive_desc weight_desc(const Descriptors& d, const Descriptors& hint,
                                                               const dnnl::primitive_attr& attr) {
  return {{kDirect, d.source, d.filter, d.bias, d.destination, d.strides, d.padding, d.padding},
          attr,
          cpu_engine(),
          forward_desc(hint, {})};
}
#endif

memory wrap(const memory::desc& desc, const void* data) { return {desc, cpu_engine(), const_cast<void*>(data)}; }

// Common to all passes. The primitives of one pass only are made.
class OneDnnConv final : public ConvPrimitive {
 public:
  OneDnnConv(ConvPass pass, const ConvGeometry& g, DType source)
      : bf16_(is_bf16(pass)), descriptors_(describe(g, types_of(pass, source), !bf16_)) {
    thread_stream();  // sets one OpenMP thread before the primitive decides how to cut its work
    const auto attr = user_scratchpad();
    // A forward convolution of one type stands for the hint: bf16 operands with f32 results are none.
    const Descriptors hint = bf16_ ? describe(g, {Type::bf16, Type::bf16, Type::bf16}, false) : descriptors_;
    if (pass == ConvPass::kBackwardData || pass == ConvPass::kBackwardDataBf16) {
      const auto desc = data_desc(descriptors_, hint, attr);
      set(desc);
      filter_ = desc.weights_desc();
    } else if (pass == ConvPass::kBackwardWeight || pass == ConvPass::kBackwardWeightBf16) {
      const auto desc = weight_desc(descriptors_, hint, attr);
      set(desc);
      filter_ = desc.diff_weights_desc();
    } else {
      const auto desc = forward_desc(descriptors_, attr);
      set(desc);
      filter_ = desc.weights_desc();
    }
    // Filters of signed codes are summed up as they are packed, in memory that replicas must not share.
    const dnnl::reorder::primitive_desc pack(cpu_engine(), descriptors_.krsc, cpu_engine(), filter_, attr),
        unpack(cpu_engine(), filter_, cpu_engine(), descriptors_.krsc, attr);
    pack_scratchpad_ = pack.scratchpad_desc();
    unpack_scratchpad_ = unpack.scratchpad_desc();
    pack_ = dnnl::reorder(pack);
    unpack_ = dnnl::reorder(unpack);
  }

  Bytes filter_bytes() const override { return align_up(static_cast<Bytes>(filter_.get_size())); }
  Index filter_floats() const override { return static_cast<Index>(filter_.get_size() / sizeof(float)); }
  Bytes scratch_bytes() const override {
    return align_up(static_cast<Bytes>(
        std::max({scratchpad_.get_size(), pack_scratchpad_.get_size(), unpack_scratchpad_.get_size()})));
  }

  void pack_filter(const void* krsc, void* packed, std::byte* scratch) const override {
    reorder(pack_, wrap(descriptors_.krsc, krsc), wrap(filter_, packed), wrap(pack_scratchpad_, scratch));
  }
  void unpack_filter(const void* packed, void* krsc, std::byte* scratch) const override {
    reorder(unpack_, wrap(filter_, packed), wrap(descriptors_.krsc, krsc), wrap(unpack_scratchpad_, scratch));
  }

  void run_forward(const void* in, const void* packed, void* out, std::byte* scratch) const override {
    execute({{DNNL_ARG_SRC, wrap(descriptors_.source, in)},
             {DNNL_ARG_WEIGHTS, wrap(filter_, packed)},
             {DNNL_ARG_DST, wrap(descriptors_.destination, out)},
             {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
  }
  void run_backward_data(const void* dy, const void* packed, float* dx, std::byte* scratch) const override {
    execute({{DNNL_ARG_DIFF_DST, wrap(descriptors_.destination, dy)},
             {DNNL_ARG_WEIGHTS, wrap(filter_, packed)},
             {DNNL_ARG_DIFF_SRC, wrap(descriptors_.source, dx)},
             {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
  }
  void run_backward_weight(const void* x, const void* dy, float* packed_dw, float* db,
                           std::byte* scratch) const override {
    // oneDNN 2.6.3 in bf16 multiplies scratch memory that it never wrote by zero (seen where strided rows have one
    // pixel): NaN, if that is what lies there.
    if (bf16_) std::memset(scratch, 0, scratchpad_.get_size());
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, wrap(descriptors_.source, x)},
                                              {DNNL_ARG_DIFF_DST, wrap(descriptors_.destination, dy)},
                                              {DNNL_ARG_DIFF_WEIGHTS, wrap(filter_, packed_dw)},
                                              {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}};
    if (db != nullptr) arguments.emplace(DNNL_ARG_DIFF_BIAS, wrap(descriptors_.bias, db));
    execute(arguments);
  }

 private:
  template <class Desc>
  void set(const Desc& desc) {
    scratchpad_ = desc.scratchpad_desc();
    primitive_ = dnnl::primitive(desc);
  }
  void execute(const std::unordered_map<int, memory>& arguments) const {
    primitive_.execute(thread_stream(), arguments);
  }
  static void reorder(const dnnl::primitive& primitive, const memory& from, const memory& to, const memory& scratch) {
    primitive.execute(thread_stream(), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratch}});
  }

  bool bf16_;
  Descriptors descriptors_;
  memory::desc filter_, scratchpad_, pack_scratchpad_, unpack_scratchpad_;
  dnnl::primitive primitive_, pack_, unpack_;
};

#if DNNL_VERSION_MAJOR >= 3
dnnl::matmul::primitive_desc product_desc(const memory::desc& a, const memory::desc& b, const memory::desc& c) {
  return {cpu_engine(), a, b, c, user_scratchpad()};
}
#else
dnnl::matmul::primitive_desc product_desc(const memory::desc& a, const memory::desc& b, const memory::desc& c) {
  return {{a, b, c}, user_scratchpad(), cpu_engine()};
}
#endif

class OneDnnProduct final : public Bf16Product {
 public:
  explicit OneDnnProduct(const MatrixSizes& m)
      : a_({m.rows, m.depth}, Type::bf16, Tag::ba),
        b_({m.depth, m.columns}, Type::bf16, Tag::ab),
        c_({m.rows, m.columns}, Type::f32, Tag::ab) {
    thread_stream();  // sets one OpenMP thread
    const auto desc = product_desc(a_, b_, c_);
    scratchpad_ = desc.scratchpad_desc();
    primitive_ = dnnl::matmul(desc);
  }
  Bytes scratch_bytes() const override { return align_up(static_cast<Bytes>(scratchpad_.get_size())); }
  void run(const Bf16* a, const Bf16* b, float* c, std::byte* scratch) const override {
    primitive_.execute(thread_stream(), {{DNNL_ARG_SRC, wrap(a_, a)},
                                         {DNNL_ARG_WEIGHTS, wrap(b_, b)},
                                         {DNNL_ARG_DST, wrap(c_, c)},
                                         {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
  }

 private:
  memory::desc a_, b_, c_, scratchpad_;
  dnnl::matmul primitive_;
};

using Key = std::tuple<ConvPass, DType, Index, Index, Index, Index, Index, Index, Index, Index, Index>;

}  // namespace

std::shared_ptr<const ConvPrimitive> conv_primitive(ConvPass pass, const ConvGeometry& g, DType source) {
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const ConvPrimitive>> cache;  // alive as long as a program uses them
  const Key key{pass, source, g.n, g.h, g.w, g.c, g.k, g.r, g.s, g.stride, g.pad};
  const std::lock_guard lock(mutex);
  std::shared_ptr<const ConvPrimitive> primitive = cache[key].lock();
  if (!primitive) {
    std::erase_if(cache, [](const auto& entry) { return entry.second.expired(); });
    try {
      primitive = std::make_shared<const OneDnnConv>(pass, g, source);
    } catch (const dnnl::error& error) {
      fail("oneDNN cannot make a convolution of {}x{}x{}x{} with {} filters {}x{}: {}", g.n, g.h, g.w, g.c, g.k, g.r,
           g.s, error.what());
    }
    cache[key] = primitive;
  }
  return primitive;
}

void multiply_transposed(const MatrixSizes& m, const float* a, Index stride, const float* b, float* c) {
  thread_stream();  // sets one OpenMP thread
  const dnnl_status_t status =
      dnnl_sgemm('T', 'N', m.rows, m.columns, m.depth, 1.0f, a, stride, b, m.columns, 0.0f, c, m.columns);
  if (status != dnnl_success) fail("oneDNN cannot multiply matrices of {}x{}x{}", m.rows, m.columns, m.depth);
}

std::shared_ptr<const Bf16Product> bf16_product(const MatrixSizes& m) {
  try {
    return std::make_shared<const OneDnnProduct>(m);
  } catch (const dnnl::error& error) {
    fail("oneDNN cannot multiply bf16 matrices of {}x{}x{}: {}", m.rows, m.columns, m.depth, error.what());
  }
}

std::string convolution_library() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
}

bool int8_convolution_is_exact() {
  static const bool exact = [] {
    const char* forced = std::getenv("GRIDSTEP_INT8_CONV");
    return forced != nullptr ? forced[0] == '1' : cpu_has_vnni();
  }();
  return exact;
}

bool bf16_is_native() {
  static const bool native = [] {
    constexpr int kWanted = dnnl_cpu_isa_avx512_core_bf16;  // sets of instructions: a bit for each
    return (dnnl_get_effective_cpu_isa() & kWanted) == kWanted;
  }();
  return native;
}

}  // namespace gridstep
