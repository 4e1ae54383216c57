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

// Calls f with the mask and activation as template arguments.
template <class F>
void visit_quantize(const QuantizeAttrs& attrs, F&& f) {
  const auto with_mask = [&]<FusedActivation A>() {
    switch (attrs.mask) {
      case GradientMask::kStrict:
        return f.template operator()<A, GradientMask::kStrict>();
      case GradientMask::kInclusive:
        return f.template operator()<A, GradientMask::kInclusive>();
      case GradientMask::kRounded:
        return f.template operator()<A, GradientMask::kRounded>();
    }
  };
  switch (attrs.activation) {
    case FusedActivation::kNone:
      return with_mask.template operator()<FusedActivation::kNone>();
    case FusedActivation::kRelu:
      return with_mask.template operator()<FusedActivation::kRelu>();
    case FusedActivation::kTanh:
      return with_mask.template operator()<FusedActivation::kTanh>();
  }
}

}  // namespace gridstep
