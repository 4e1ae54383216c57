// Evaluation of super-resolution networks on whole images.
//
// One program per image size (kept), all replicas at once; images too large for the memory given are cut into tiles
// with a halo of the network's receptive radius, which gives the same pixels bit for bit. The output is clamped and
// rounded to 8 bits before anything is measured. A metric is the mean over images; PSNR in dB.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/gridstep/sr_task.h"

namespace gridstep {

struct SrMetrics {
  double psnr_y = 0.0, psnr_rgb = 0.0, ssim_y = 0.0, ssim_rgb = 0.0, loss = 0.0;
};

class SrEvaluator {
 public:
  // `tile`: LR pixels per side, 0: whole images as long as they fit `memory` bytes.
  SrEvaluator(SrTask task, const std::vector<SrPhoto>& photos, int tile, Bytes memory);
  ~SrEvaluator();

  // Per replica. The replicas' status is left as it was.
  std::vector<SrMetrics> evaluate(ParameterStore& store, bool quantized, bool with_ssim);

  // The enlarged image of one replica.
  Image enlarge(ParameterStore& store, int replica, const ImageView& lr, bool quantized);

  // The same measurement of bicubic enlargement: the floor.
  SrMetrics bicubic(Device& device) const;

 private:
  struct Size {
    int h, w;
    auto operator<=>(const Size&) const = default;
  };
  Program& inference(ParameterStore& store, Size size, bool quantized);
  Program& metrics(ParameterStore& store, Size size, bool with_ssim);
  void predict(ParameterStore& store, const ImageView& lr, bool quantized, std::vector<Image>& out);
  int tile_side(ParameterStore& store, const ImageView& lr, bool quantized);
  void forget_programs(const ParameterStore& store, bool quantized);

  SrTask task_;
  const std::vector<SrPhoto>& photos_;
  int tile_;
  Bytes memory_;
  const ParameterStore* store_ = nullptr;  // that the programs below are bound to
  bool quantized_ = false;
  std::map<Size, std::unique_ptr<Program>> inference_;
  std::map<std::pair<Size, bool>, std::unique_ptr<Program>> metrics_;
};

}  // namespace gridstep
