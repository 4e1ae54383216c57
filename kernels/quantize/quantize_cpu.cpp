#include <algorithm>

#include "kernels/common/status.h"
#include "kernels/quantize/quantize_launch.h"
#include "kernels/quantize/quantizers/lsq.h"

namespace gridstep {
namespace {

// Elements in a row of the leading axis.
Index row_size(const Shape& x) { return x[0] == 0 ? 0 : x.elements() / x[0]; }

template <FusedActivation A, class T>
bool forward_codes(const float* x, Index n, float s, float lo, float hi, T* codes) {
  int bad = 0;
  for (Index i = 0; i < n; ++i) {
    const float q = Lsq::code(activate<A>(x[i]), s, lo, hi);
    const bool nan = strict::is_nan(q);
    bad |= static_cast<int>(nan);
    codes[i] = static_cast<T>(static_cast<int>(nan ? 0.0f : q));
  }
  return bad != 0;
}

template <FusedActivation A>
void forward_fake(const float* x, Index n, float s, float lo, float hi, float* values) {
  for (Index i = 0; i < n; ++i) values[i] = Lsq::code(activate<A>(x[i]), s, lo, hi) * s;
}

template <FusedActivation A>
bool forward_span(const QuantizeAttrs& attrs, const float* x, Index n, float s, void* out) {
  const auto lo = static_cast<float>(attrs.range.n), hi = static_cast<float>(attrs.range.p);
  if (attrs.fake) {
    forward_fake<A>(x, n, s, lo, hi, static_cast<float*>(out));
    return false;
  }
  return attrs.range.n >= 0 ? forward_codes<A>(x, n, s, lo, hi, static_cast<std::uint8_t*>(out))
                            : forward_codes<A>(x, n, s, lo, hi, static_cast<std::int8_t*>(out));
}

// dx for n elements of one step; returns sum G * r. Eight double lanes per block of 4096, blocks in order: the same
// bits however the compiler vectorises, and accurate enough that the sum's order does not matter at float precision.
template <FusedActivation A, GradientMask M, bool kWriteDx>
double backward_span(const float* x, const float* g, Index n, float s, float lo, float hi, float* dx) {
  constexpr Index kBlock = 4096, kLanes = 8;
  double total = 0.0;
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index end = std::min(n, begin + kBlock);
    double lanes[kLanes] = {};
    const auto element = [&](Index i, double& sum) {
      const float a = activate<A>(x[i]);
      float r;
      const float pass = Lsq::backward<M>(a, s, lo, hi, r);
      sum += static_cast<double>(g[i] * r);
      if constexpr (kWriteDx) dx[i] = g[i] * (pass * activation_slope<A>(x[i], a));
    };
    Index i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (Index l = 0; l < kLanes; ++l) element(i + l, lanes[l]);
    }
    for (; i < end; ++i) element(i, lanes[i % kLanes]);
    for (const double lane : lanes) total += lane;
  }
  return total;
}

double parameter_gradient(const QuantizeAttrs& attrs, double sum, float s, float s0) {
  return sum * static_cast<double>(step_factor(attrs.form, attrs.gradient_scale, s, s0));
}

}  // namespace

bool quantize_span(const QuantizeAttrs& attrs, const float* x, Index n, float step, void* out) {
  return visit_activation(attrs.activation,
                          [&]<FusedActivation A>() { return forward_span<A>(attrs, x, n, step, out); });
}

Index quantize_partial_count(const QuantizeAttrs& attrs, const Shape& x, DeviceKind device) {
  if (attrs.per_channel) return 0;
  if (device == DeviceKind::kCpu) return std::max(1, Recorder::chunks(x[0]));
  return (x.elements() + kQuantizeCudaBlock - 1) / kQuantizeCudaBlock;
}

void record_quantize_cpu(Recorder& recorder, const BoundNode& node) {
  const QuantizeAttrs attrs = node.attrs<QuantizeAttrs>();
  const Tensor x = node.in[0], parameter = node.in[1], out = node.out[0], step = node.out[1];
  const Index rows = x.shape[0], size = row_size(x.shape);
  const Bytes width = size_of(out.dtype);
  const StepParams* params = recorder.params();
  ReplicaStatus* status = recorder.status();
  const int index = recorder.node_index(), tasks = std::max(1, Recorder::chunks(rows));
  recorder.launch("", tasks, [=](const TaskContext& t) {
    const auto part = Recorder::part(rows, tasks, t.task);
    const float* p = parameter.at<float>(t.replica);
    float* s = step.at<float>(t.replica);
    bool bad = false;
    if (attrs.per_channel) {
      for (Index k = part.begin; k < part.end; ++k) {
        s[k] = step_value(p[k], attrs.form);
        bad |= quantize_span(attrs, x.at<float>(t.replica) + k * size, size, s[k],
                             out.at<std::byte>(t.replica) + k * size * width);
      }
    } else {
      const float value = step_value(*p, attrs.form);
      if (t.task == 0) *s = value;
      bad = quantize_span(attrs, x.at<float>(t.replica) + part.begin * size, part.size() * size, value,
                          out.at<std::byte>(t.replica) + part.begin * size * width);
    }
    if (bad) note_fault(status[t.replica], params[t.replica].step, index);
  });
}

void record_quantize_backward_cpu(Recorder& recorder, const BoundNode& node) {
  const QuantizeAttrs attrs = node.attrs<QuantizeAttrs>();
  const Tensor x = node.in[0], parameter = node.in[1], s0 = node.in[2], g = node.in[3], dx = node.out[0],
               dparameter = node.out[1];
  const Tensor partials = node.workspace;
  const Index rows = x.shape[0], size = row_size(x.shape);
  const int tasks = std::max(1, Recorder::chunks(rows));
  const auto lo = static_cast<float>(attrs.range.n), hi = static_cast<float>(attrs.range.p);
  visit_quantize(attrs, [&]<FusedActivation A, GradientMask M>() {
    const auto span = [=](const TaskContext& t, Index begin, Index n, float s) {
      const float* xs = x.at<float>(t.replica) + begin;
      const float* gs = g.at<float>(t.replica) + begin;
      if (dx.data == nullptr) return backward_span<A, M, false>(xs, gs, n, s, lo, hi, nullptr);
      return backward_span<A, M, true>(xs, gs, n, s, lo, hi, dx.at<float>(t.replica) + begin);
    };
    recorder.launch("", tasks, [=](const TaskContext& t) {
      const auto part = Recorder::part(rows, tasks, t.task);
      const float* p = parameter.at<float>(t.replica);
      if (!attrs.per_channel) {
        partials.at<double>(t.replica)[t.task] =
            span(t, part.begin * size, part.size() * size, step_value(*p, attrs.form));
        return;
      }
      for (Index k = part.begin; k < part.end; ++k) {
        const float s = step_value(p[k], attrs.form);
        const double sum = span(t, k * size, size, s);
        dparameter.at<float>(t.replica)[k] =
            static_cast<float>(parameter_gradient(attrs, sum, s, s0.at<float>(t.replica)[k]));
      }
    });
  });
  if (attrs.per_channel) return;
  recorder.launch("step", 1, [=](const TaskContext& t) {
    double sum = 0.0;
    for (int i = 0; i < tasks; ++i) sum += partials.at<double>(t.replica)[i];
    const float s = step_value(*parameter.at<float>(t.replica), attrs.form);
    *dparameter.at<float>(t.replica) = static_cast<float>(parameter_gradient(attrs, sum, s, *s0.at<float>(t.replica)));
  });
}

}  // namespace gridstep
