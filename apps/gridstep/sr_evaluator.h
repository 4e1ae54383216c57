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
  bool fault = false;  // a NaN or infinity was met
};

// Programs by what they are for, within a memory budget: making room for one drops all others.
template <class Key>
class ProgramCache {
 public:
  template <class MakeGraph>
  Program& get(const Key& key, ParameterStore& store, Bytes budget, MakeGraph&& make_graph) {
    const auto found = programs_.find(key);
    if (found != programs_.end()) return *found->second;
    Graph graph = make_graph();
    const Bytes need = plan_program(graph, store.device().kind()).per_replica * store.replicas();
    if (used_ + need > budget) clear();
    used_ += need;
    return *(programs_[key] = std::make_unique<Program>(std::move(graph), store));
  }
  void clear() {
    programs_.clear();
    used_ = 0;
  }

 private:
  std::map<Key, std::unique_ptr<Program>> programs_;
  Bytes used_ = 0;
};

class SrEvaluator {
 public:
  // `tile`: LR pixels per side, 0: whole images as long as they fit `memory` bytes.
  SrEvaluator(SrTask task, const std::vector<SrPhoto>& photos, int tile, Bytes memory);
  // Per replica. The replicas' status is left as it was; a fault that only the evaluation met is in SrMetrics::fault.
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
  ProgramCache<Size> inference_;
  ProgramCache<std::pair<Size, bool>> metrics_;
};

}  // namespace gridstep
