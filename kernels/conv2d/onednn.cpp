#include "kernels/conv2d/onednn.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
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
  memory::desc source, filter, bias, destination;
  memory::dims strides, padding;
};

Descriptors describe(const ConvGeometry& g, ConvPass pass, DType source) {
  using Type = memory::data_type;
  const bool int8 = pass == ConvPass::kForwardInt8;
  const Type source_type = !int8 ? Type::f32 : (source == DType::kU8 ? Type::u8 : Type::s8);
  return {memory::desc({g.n, g.c, g.h, g.w}, source_type, Tag::nhwc),
          memory::desc({g.k, g.c, g.r, g.s}, int8 ? Type::s8 : Type::f32, Tag::any),
          memory::desc({g.k}, Type::f32, Tag::x),
          memory::desc({g.n, g.k, g.p, g.q}, int8 ? Type::s32 : Type::f32, Tag::nhwc),
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
dnnl::convolution_backward_data::primitive_desc data_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {cpu_engine(),        kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding,
          forward_desc(d, {}), attr};
}
dnnl::convolution_backward_weights::primitive_desc weight_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {cpu_engine(),        kDirect, d.source, d.filter, d.bias, d.destination, d.strides, d.padding, d.padding,
          forward_desc(d, {}), attr};
}
#else
dnnl::convolution_forward::primitive_desc forward_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {
      {dnnl::prop_kind::forward_training, kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding},
      attr,
      cpu_engine()};
}
dnnl::convolution_backward_data::primitive_desc data_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {{kDirect, d.source, d.filter, d.destination, d.strides, d.padding, d.padding},
          attr,
          cpu_engine(),
          forward_desc(d, {})};
}
dnnl::convolution_backward_weights::primitive_desc weight_desc(const Descriptors& d, const dnnl::primitive_attr& attr) {
  return {{kDirect, d.source, d.filter, d.bias, d.destination, d.strides, d.padding, d.padding},
          attr,
          cpu_engine(),
          forward_desc(d, {})};
}
#endif

memory wrap(const memory::desc& desc, const void* data) { return {desc, cpu_engine(), const_cast<void*>(data)}; }

// Common to all passes. The primitives of one pass only are made.
class OneDnnConv final : public ConvPrimitive {
 public:
  OneDnnConv(ConvPass pass, const ConvGeometry& g, DType source) : descriptors_(describe(g, pass, source)) {
    thread_stream();  // sets one OpenMP thread before the primitive decides how to cut its work
    const auto attr = user_scratchpad();
    if (pass == ConvPass::kBackwardData) {
      set(data_desc(descriptors_, attr));
      filter_ = dnnl::convolution_backward_data::primitive_desc(data_desc(descriptors_, attr)).weights_desc();
    } else if (pass == ConvPass::kBackwardWeight) {
      set(weight_desc(descriptors_, attr));
      filter_ = weight_desc(descriptors_, attr).diff_weights_desc();
    } else {
      set(forward_desc(descriptors_, attr));
      filter_ = forward_desc(descriptors_, attr).weights_desc();
    }
    krsc_ = memory::desc(filter_.dims(), filter_.data_type(), Tag::ohwi);
    // Filters of signed codes are summed up as they are packed, in memory that replicas must not share.
    const dnnl::reorder::primitive_desc pack(cpu_engine(), krsc_, cpu_engine(), filter_, attr),
        unpack(cpu_engine(), filter_, cpu_engine(), krsc_, attr);
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
    reorder(pack_, wrap(krsc_, krsc), wrap(filter_, packed), wrap(pack_scratchpad_, scratch));
  }
  void unpack_filter(const void* packed, void* krsc, std::byte* scratch) const override {
    reorder(unpack_, wrap(filter_, packed), wrap(krsc_, krsc), wrap(unpack_scratchpad_, scratch));
  }

  void run_forward(const void* in, const void* packed, void* out, std::byte* scratch) const override {
    execute({{DNNL_ARG_SRC, wrap(descriptors_.source, in)},
             {DNNL_ARG_WEIGHTS, wrap(filter_, packed)},
             {DNNL_ARG_DST, wrap(descriptors_.destination, out)},
             {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
  }
  void run_backward_data(const float* dy, const float* packed, float* dx, std::byte* scratch) const override {
    execute({{DNNL_ARG_DIFF_DST, wrap(descriptors_.destination, dy)},
             {DNNL_ARG_WEIGHTS, wrap(filter_, packed)},
             {DNNL_ARG_DIFF_SRC, wrap(descriptors_.source, dx)},
             {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
  }
  void run_backward_weight(const float* x, const float* dy, float* packed_dw, float* db,
                           std::byte* scratch) const override {
    execute({{DNNL_ARG_SRC, wrap(descriptors_.source, x)},
             {DNNL_ARG_DIFF_DST, wrap(descriptors_.destination, dy)},
             {DNNL_ARG_DIFF_WEIGHTS, wrap(filter_, packed_dw)},
             {DNNL_ARG_DIFF_BIAS, wrap(descriptors_.bias, db)},
             {DNNL_ARG_SCRATCHPAD, wrap(scratchpad_, scratch)}});
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

  Descriptors descriptors_;
  memory::desc filter_, krsc_, scratchpad_, pack_scratchpad_, unpack_scratchpad_;
  dnnl::primitive primitive_, pack_, unpack_;
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

}  // namespace gridstep
