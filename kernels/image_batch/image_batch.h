// Assembles a classification batch on the device: labelled images in the epoch's order, cropped and mirrored, in one
// gather.
//
// Sample i of the batch is sample k = first_sample + i of its epoch (engine/graph/step_params.h).
//   image:    the k-th of the epoch's permutation, a bijection keyed by (seed, Purpose::kPermutation, epoch): a Feistel
//             network of four Philox rounds over the next power of four, walked until it lands below `count` (Black,
//             Rogaway, CT-RSA 2002). Every image comes once per epoch; nothing is stored.
//   crop:     with v = philox({seed, Purpose::kAugment, epoch}, k) and L = side + 2 pad - crop: the top left corner is
//   at
//             (uniform_below(v[0], L + 1), uniform_below(v[1], L + 1)) of the image framed by `pad` black pixels
//   resized crop, when `least_area` < 1, instead: a rectangle of the image with a share of its area drawn evenly from
//             [least_area, 1] and a ratio of width to height whose logarithm is drawn evenly from [-ln 4/3, ln 4/3]
//             (Szegedy et al., CVPR 2015; the draws and the ten attempts as torchvision's RandomResizedCrop), resized
//             to crop x crop: bilinear between the centres of pixels, in integers (16 bits of place, 11 of weight)
//   mirror:   columns, when `mirror` and the top bit of v[2] are set
//   images: u8 (N, crop, crop, 3)    labels: s32 (N)    no inputs, no workspace, no gradient
// Depends on seed, epoch and sample only: same bits on every device, for every batch size and replica. Pad, crop and
// mirror as for CIFAR in He et al., CVPR 2016.
#pragma once

#include <cstdint>
#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

// Images in device memory, which must outlive every program that uses them.
struct ImageTable {
  const std::uint8_t* pixels = nullptr;  // (count, side, side, 3)
  const std::int32_t* labels = nullptr;  // (count)
  std::uint32_t count = 0;
  int side = 0;
};

struct ImageBatchAttrs {
  ImageTable table;
  Index batch = 0;  // N
  int crop = 0;     // side of what comes out
  int pad = 0;
  bool mirror = false;
  float least_area = 1.0f;  // below 1: resized crops, without a frame
};

struct ImageBatch {
  ValueId images = kNoValue;
  ValueId labels = kNoValue;
};
ImageBatch image_batch(Graph& graph, std::string name, const ImageBatchAttrs& attrs);

const OpDef& image_batch_op();

void record_image_batch_cpu(Recorder& recorder, const BoundNode& node);
void record_image_batch_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
