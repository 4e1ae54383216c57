// The plug-in's launchers under the names that the tests shared with the harness use (tests/simt/compare_nodes.h): the
// plug-in is opened at run time, so its own functions cannot be linked to.
#include "engine/device/plugin.h"
#include "engine/graph/graph.h"

namespace gridstep {

#define GS_LAUNCHER(name)                                                \
  void record_##name##_cuda(Recorder& recorder, const BoundNode& node) { \
    launcher(*node.node.op, DeviceKind::kCuda)(recorder, node);          \
  }

GS_LAUNCHER(add)
GS_LAUNCHER(auto_augment)
GS_LAUNCHER(batch_norm)
GS_LAUNCHER(batch_norm_backward)
GS_LAUNCHER(bf16_data_gradient)
GS_LAUNCHER(bf16_weight_gradient)
GS_LAUNCHER(fold_norm)
GS_LAUNCHER(global_avg_pool)
GS_LAUNCHER(global_avg_pool_backward)
GS_LAUNCHER(image_loss)
GS_LAUNCHER(image_loss_backward)
GS_LAUNCHER(max_pool)
GS_LAUNCHER(max_pool_backward)
GS_LAUNCHER(normalize_pixels)
GS_LAUNCHER(pixel_shuffle)
GS_LAUNCHER(pixel_shuffle_backward)
GS_LAUNCHER(pixels_from_float)
GS_LAUNCHER(pixels_to_float)
GS_LAUNCHER(psnr)
GS_LAUNCHER(relu)
GS_LAUNCHER(relu_backward)
GS_LAUNCHER(softmax_cross_entropy)
GS_LAUNCHER(softmax_cross_entropy_backward)
GS_LAUNCHER(ssim)
GS_LAUNCHER(subsample_pad)
GS_LAUNCHER(subsample_pad_backward)
GS_LAUNCHER(tanh)
GS_LAUNCHER(tanh_backward)

}  // namespace gridstep
