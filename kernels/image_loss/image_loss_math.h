// What the two drivers of the image loss share.
#pragma once

#include "engine/base/error.h"
#include "kernels/common/pixels.h"
#include "kernels/common/status.h"
#include "kernels/image_loss/charbonnier.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/image_loss/l1.h"
#include "kernels/image_loss/mse.h"

namespace gridstep {

template <class L>
struct LossValue {
  GS_HD float operator()(float prediction, std::uint8_t target) const {
    return L::value(prediction - pixel_value(target));
  }
};

template <class L>
struct LossGradient {
  float inv_count;  // 1/M, rounded to float

  GS_HD float operator()(float prediction, std::uint8_t target) const {
    return L::derivative(prediction - pixel_value(target)) * inv_count;
  }
};

// Writes the mean and reports it.
GS_HD void finish_loss(double sum, double count, double* loss, ReplicaStatus& status, std::uint32_t step,
                       int node_index) {
  const double mean = sum / count;
  *loss = mean;
  status.loss_sum += mean;
  status.loss_count += 1;
  if (!(mean - mean == 0.0)) note_fault(status, step, node_index);  // infinity minus itself is NaN
}

// Calls f with the kind's functor.
template <class F>
void visit_loss(LossKind kind, F f) {
  switch (kind) {
    case LossKind::kMse:
      return f(MseLoss{});
    case LossKind::kL1:
      return f(L1Loss{});
    case LossKind::kCharbonnier:
      return f(CharbonnierLoss{});
  }
  fail("unknown loss {}", static_cast<int>(kind));
}

}  // namespace gridstep
