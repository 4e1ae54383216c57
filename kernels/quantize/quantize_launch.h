// Between the quantize op and its device halves.
#pragma once

#include "engine/graph/op.h"
#include "kernels/quantize/quantize.h"

namespace gridstep {

void record_quantize_cpu(Recorder& recorder, const BoundNode& node);
void record_quantize_backward_cpu(Recorder& recorder, const BoundNode& node);
void record_quantize_cuda(Recorder& recorder, const BoundNode& node);
void record_quantize_backward_cuda(Recorder& recorder, const BoundNode& node);

// Partial sums of the step's gradient that the first backward launch leaves for the second. Depends on the shape only.
//   cpu: one per task; none per channel, where a task owns whole channels.   cuda: one per block of kQuantizeCudaBlock
//   elements.
constexpr Index kQuantizeCudaBlock = 4096;
Index quantize_partial_count(const QuantizeAttrs& attrs, const Shape& x, DeviceKind device);

// Calls f with the activation as template argument.
template <class F>
decltype(auto) visit_activation(FusedActivation activation, F&& f) {
  switch (activation) {
    case FusedActivation::kRelu:
      return f.template operator()<FusedActivation::kRelu>();
    case FusedActivation::kTanh:
      return f.template operator()<FusedActivation::kTanh>();
    case FusedActivation::kNone:
      break;
  }
  return f.template operator()<FusedActivation::kNone>();
}

// Calls f with the activation and the mask as template arguments.
template <class F>
void visit_quantize(const QuantizeAttrs& attrs, F&& f) {
  visit_activation(attrs.activation, [&]<FusedActivation A>() {
    switch (attrs.mask) {
      case GradientMask::kStrict:
        return f.template operator()<A, GradientMask::kStrict>();
      case GradientMask::kInclusive:
        return f.template operator()<A, GradientMask::kInclusive>();
      case GradientMask::kRounded:
        return f.template operator()<A, GradientMask::kRounded>();
    }
  });
}

}  // namespace gridstep
