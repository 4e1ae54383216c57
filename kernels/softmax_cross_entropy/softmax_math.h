// What the two drivers of softmax cross-entropy share.
//
// A sum over classes has 32 lanes: lane l adds the classes l, l + 32, ... in order; then, five times, the upper half of
// the lanes is added to the lower. On CUDA a warp has one sample and a thread one lane.
#pragma once

#include <cstdint>

#include "engine/base/strict_math.h"
#include "kernels/common/lane_sum.h"
#include "kernels/common/status.h"

namespace gridstep {

// One sample, as far as one lane has seen it.
struct SoftmaxLane {
  double exps = 0.0;  // sum of exp(x - m)
  double sum = 0.0;   // of x
  int before = 0;     // classes that rank before the label

  GS_HD void add(float x, int k, float largest, float of_label, int label) {
    exps += static_cast<double>(strict::exp(x - largest));
    sum += static_cast<double>(x);
    before += x > of_label || (x == of_label && k < label) ? 1 : 0;
  }
  GS_HD void add(const SoftmaxLane& other) {
    exps += other.exps;
    sum += other.sum;
    before += other.before;
  }
};

// m + ln sum exp(x - m).
GS_HD float log_partition(float largest, double exps) { return largest + strict::log(static_cast<float>(exps)); }

struct SmoothedTarget {
  float on = 1.0f;   // (1 - e), of the label
  float off = 0.0f;  // e/K, of every class

  GS_HD double loss(float log_z, float of_label, double sum) const {
    return static_cast<double>(log_z) - static_cast<double>(on) * static_cast<double>(of_label) -
           static_cast<double>(off) * sum;
  }
  GS_HD float gradient(float x, float log_z, bool is_label, float inv_count) const {
    const float probability = strict::exp(x - log_z);
    return ((probability - (is_label ? on : 0.0f)) - off) * inv_count;
  }
};

inline SmoothedTarget smoothed_target(float smoothing, Index classes) {
  return {1.0f - smoothing, smoothing / static_cast<float>(classes)};
}

// What a sample leaves for the mean over samples.
struct SampleLoss {
  double loss;
  std::int32_t rank;
  std::int32_t padding;
};

// A label outside the classes has no loss: NaN, which becomes the replica's fault.
GS_HD SampleLoss sample_loss(const SoftmaxLane& lane, float largest, float of_label, bool known,
                             const SmoothedTarget& target) {
  if (!known) return {static_cast<double>(strict::bits_to_float(0x7fc00000u)), 1 << 30, 0};
  return {target.loss(log_partition(largest, lane.exps), of_label, lane.sum), lane.before, 0};
}

GS_HD void finish_cross_entropy(double sum, double first, double five, double count, double* loss, double* correct,
                                ReplicaStatus& status, std::uint32_t step, int node_index) {
  const double mean = sum / count;
  *loss = mean;
  correct[0] = first;
  correct[1] = five;
  status.loss_sum += mean;
  status.loss_count += 1;
  if (!(mean - mean == 0.0)) note_fault(status, step, node_index);  // infinity minus itself is NaN
}

}  // namespace gridstep
