// Entry point of libgridstep_cuda.so, and the list of everything that runs on CUDA.
#include <cuda_runtime.h>

#include <string>

#include "engine/base/error.h"
#include "engine/device/cuda/cuda_device.h"
#include "engine/device/plugin.h"
#include "kernels/add/add.h"
#include "kernels/auto_augment/auto_augment.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv2d/conv2d_cuda.h"
#include "kernels/fold_norm/fold_norm.h"
#include "kernels/global_avg_pool/global_avg_pool.h"
#include "kernels/image_batch/image_batch.h"
#include "kernels/image_loss/image_loss.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/normalize_pixels/normalize_pixels.h"
#include "kernels/patch_batch/patch_batch.h"
#include "kernels/pixel_shuffle/pixel_shuffle.h"
#include "kernels/pixels_from_float/pixels_from_float.h"
#include "kernels/pixels_to_float/pixels_to_float.h"
#include "kernels/psnr/psnr.h"
#include "kernels/quantize/quantize_launch.h"
#include "kernels/relu/relu.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "kernels/ssim/ssim.h"
#include "kernels/subsample_pad/subsample_pad.h"
#include "kernels/tanh/tanh.h"
#include "optim/optimizer.h"

#ifndef GRIDSTEP_PLUGIN_BUILD_ID
#error "the build defines GRIDSTEP_PLUGIN_BUILD_ID: the text that build_id() returns in the library of the same build"
#endif

namespace gridstep {
namespace {

void register_launchers(PluginRegistry& registry) {
  registry.launchers = {
      {"add", record_add_cuda},
      {"auto_augment", record_auto_augment_cuda},
      {"batch_norm", record_batch_norm_cuda},
      {"batch_norm_backward", record_batch_norm_backward_cuda},
      {"conv2d", record_conv2d_cuda},
      {"conv2d_backward_data", record_conv2d_backward_data_cuda},
      {"conv2d_backward_weight", record_conv2d_backward_weight_cuda},
      {"fold_norm", record_fold_norm_cuda},
      {"global_avg_pool", record_global_avg_pool_cuda},
      {"global_avg_pool_backward", record_global_avg_pool_backward_cuda},
      {"image_batch", record_image_batch_cuda},
      {"image_loss", record_image_loss_cuda},
      {"image_loss_backward", record_image_loss_backward_cuda},
      {"max_pool", record_max_pool_cuda},
      {"max_pool_backward", record_max_pool_backward_cuda},
      {"normalize_pixels", record_normalize_pixels_cuda},
      {"patch_batch", record_patch_batch_cuda},
      {"pixel_shuffle", record_pixel_shuffle_cuda},
      {"pixel_shuffle_backward", record_pixel_shuffle_backward_cuda},
      {"pixels_from_float", record_pixels_from_float_cuda},
      {"pixels_to_float", record_pixels_to_float_cuda},
      {"psnr", record_psnr_cuda},
      {"quantize", record_quantize_cuda},
      {"quantize_backward", record_quantize_backward_cuda},
      {"relu", record_relu_cuda},
      {"relu_backward", record_relu_backward_cuda},
      {"softmax_cross_entropy", record_softmax_cross_entropy_cuda},
      {"softmax_cross_entropy_backward", record_softmax_cross_entropy_backward_cuda},
      {"ssim", record_ssim_cuda},
      {"subsample_pad", record_subsample_pad_cuda},
      {"subsample_pad_backward", record_subsample_pad_backward_cuda},
      {"tanh", record_tanh_cuda},
      {"tanh_backward", record_tanh_backward_cuda},
  };
  registry.workspaces = {
      {"conv2d", conv2d_cuda_workspace},
      {"conv2d_backward_data", conv2d_backward_data_cuda_workspace},
      {"conv2d_backward_weight", conv2d_backward_weight_cuda_workspace},
  };
  registry.record_optimizer = record_optimizer_cuda;
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// Empty when a GPU can be used, else why not.
std::string missing_gpu() {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  (void)cudaDriverGetVersion(&driver);
  if (error == cudaErrorInsufficientDriver) {
    return driver == 0 ? "no NVIDIA driver is installed (nvidia-smi would show it)"
                       : fmt::format("the NVIDIA driver is too old: it serves CUDA {}, and {} is needed",
                                     version_text(driver), version_text(CUDART_VERSION));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return "no NVIDIA GPU can be seen (nvidia-smi lists them; CUDA_VISIBLE_DEVICES may hide them)";
  }
  return error == cudaSuccess
             ? ""
             : fmt::format("the GPU cannot be used: {} ({})", cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace
}  // namespace gridstep

extern "C" __attribute__((visibility("default"))) const char* gridstep_plugin(const char* library_id,
                                                                              gridstep::PluginRegistry* registry) {
  static std::string reason;
  if (std::string_view(library_id) != GRIDSTEP_PLUGIN_BUILD_ID) {
    reason = fmt::format(
        "the CUDA part is of another build ('{}') than the library ('{}'): build both again, in one folder "
        "(./quickstart.sh --cuda does)",
        GRIDSTEP_PLUGIN_BUILD_ID, library_id);
    return reason.c_str();
  }
  reason = gridstep::missing_gpu();
  if (!reason.empty()) return reason.c_str();
  gridstep::register_launchers(*registry);
  registry->make_device = gridstep::make_cuda_device;
  return nullptr;
}
