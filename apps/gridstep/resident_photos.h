// The photos of a data set in device memory: uploaded once, read by every program.
#pragma once

#include "data/dataset.h"
#include "engine/device/device.h"
#include "kernels/patch_batch/patch_batch.h"

namespace gridstep {

class ResidentPhotos {
 public:
  // Photos smaller than `patch` LR pixels are left out and counted. Throws DataError when none is left.
  // `dataset` must outlive this on the CPU, where the pack's mapping itself is used.
  ResidentPhotos(Device& device, const SrDataset& dataset, int patch);

  const PhotoTable& table() const { return table_; }
  int left_out() const { return left_out_; }
  // Steps of an epoch: ceil(sum over photos of floor(h/P) floor(w/P) / batch).
  std::int64_t steps_per_epoch(std::int64_t batch) const { return (patches_ + batch - 1) / batch; }

 private:
  PhotoTable table_;
  Buffer pixels_, photos_, areas_;
  std::int64_t patches_ = 0;
  int left_out_ = 0;
};

}  // namespace gridstep
