// Assembles a super-resolution batch on the device: random patches of resident photos, low and high resolution, in one
// gather.
//
// Sample i of the batch is sample k = first_sample + i of its epoch (engine/graph/step_params.h). All it needs are four
// words v[0..3] = philox({seed, Purpose::kSample, epoch}, k), used in this order:
//   photo:    a = uniform_below64(v[0], v[1], total area); the first photo whose cumulative area exceeds a: photos by
//   LR area position: u = uniform_below64(v[2], v[3], 8 * (h - P + 1) * (w - P + 1)); orientation = u % 8, then
//   row-major the top left
//             corner u / 8 of the P x P patch in the LR photo; the HR patch begins at scale times that corner
//   orientation bits: 1 mirror columns, 2 mirror rows, 4 transpose; output pixel (y, x) is taken from (y', x') = (y,
//   x), or (x, y) if
//             transposed, then y' mirrored, x' mirrored, within the patch; alike for LR and HR
// The eight orientations are equally likely (EDSR draws the three bits one by one: the same distribution).
//   lr: u8 (N, P, P, 3)     hr: u8 (N, scale*P, scale*P, 3)     no inputs, no workspace, no gradient
// Depends on seed, epoch and sample only: same bits on every device, for every batch size and replica.
#pragma once

#include <cstdint>
#include <string>

#include "engine/graph/graph.h"
#include "engine/graph/op.h"

namespace gridstep {

struct PhotoEntry {
  std::uint64_t lr_offset =
      0;  // of the first pixel, in bytes from PhotoTable::pixels; rows of 3 * width bytes, no gaps
  std::uint64_t hr_offset = 0;
  std::int32_t height = 0;  // of the LR photo, in pixels; the HR photo is scale times as large
  std::int32_t width = 0;
};

// Photos in device memory, which must outlive every program that uses them. Photos smaller than a patch are left out of
// the table.
struct PhotoTable {
  const std::uint8_t* pixels = nullptr;
  const PhotoEntry* photos = nullptr;
  const std::uint64_t* cumulative_area = nullptr;  // (count) LR pixels of photos 0 ... i
  std::uint64_t total_area = 0;                    // the last of them
  std::int32_t count = 0;
};

struct PatchBatchAttrs {
  PhotoTable table;
  Index batch = 0;  // N
  int patch = 0;    // P, in LR pixels
  int scale = 1;
};

struct PatchBatch {
  ValueId lr = kNoValue;
  ValueId hr = kNoValue;
};

PatchBatch patch_batch(Graph& graph, std::string name, const PatchBatchAttrs& attrs);

const OpDef& patch_batch_op();

void record_patch_batch_cpu(Recorder& recorder, const BoundNode& node);
void record_patch_batch_cuda(Recorder& recorder, const BoundNode& node);  // in the CUDA plug-in

}  // namespace gridstep
