// The labelled images of a data set in device memory: uploaded once, read by every program.
#pragma once

#include "data/labelled.h"
#include "engine/device/device.h"
#include "kernels/image_batch/image_batch.h"

namespace gridstep {

class ResidentImages {
 public:
  // `dataset` must outlive this on the CPU, where its own memory is used.
  ResidentImages(Device& device, const LabelledDataset& dataset);

  const ImageTable& table() const { return table_; }

 private:
  ImageTable table_;
  Buffer pixels_, labels_;
};

}  // namespace gridstep
