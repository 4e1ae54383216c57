// Evaluation of super-resolution networks on whole images.
//
// One program per image size (kept), replicas in groups that fit the memory given. Large images are cut into tiles with
// a halo of the network's receptive radius, which gives the same pixels bit for bit; where, depends on the image and
// the network only. The output is clamped and rounded to 8 bits before anything is measured. A metric is the mean over
// images; PSNR in dB.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/gridstep/sr_task.h"
#include "engine/train/evaluation_store.h"

namespace gridstep {

struct SrMetrics {
  double psnr_y = 0.0, psnr_rgb = 0.0, ssim_y = 0.0, ssim_rgb = 0.0, loss = 0.0;
  bool fault = false;  // a NaN or infinity was met
};

// Whether a photo has pixels enough for every metric.
bool is_measurable(const SrTask& task, const SrPhoto& photo);
// Throws DataError naming all photos that have too few.
void require_measurable(const SrTask& task, const std::vector<SrPhoto>& photos);

// Programs by purpose and image size, as many as fit a memory budget: making room for one drops all others.
class ProgramCache {
 public:
  struct Key {
    bool measures;  // predictions, else: makes them
    int h, w;
    // clang-tidy 14 takes it for a comparison with 0.
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr)
  };

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
  // `tile`: LR pixels per side, 0: whole images unless they are very large. Throws as require_measurable.
  SrEvaluator(SrTask task, const std::vector<SrPhoto>& photos, int tile, Bytes memory);
  // Per replica. The store is only read. Throws DeviceError when the memory given does not suffice for one network.
  std::vector<SrMetrics> evaluate(const ParameterStore& store, const Phase& phase, bool with_ssim);

  // The enlarged image of one replica.
  Image enlarge(const ParameterStore& store, int replica, const ImageView& lr, const Phase& phase);

  // The same measurement of bicubic enlargement: the floor.
  SrMetrics bicubic(Device& device) const;

  // The most that evaluating `replicas` networks holds: the weights of a group of them, and the programs that are kept.
  // Never above the memory given.
  Bytes planned_bytes(DeviceKind device, int replicas, const Phase& phase) const;
  Bytes scratch_per_thread(DeviceKind device, const Phase& phase) const { return need(device, phase).per_thread; }

 private:
  struct Size {
    int h, w;
    auto operator<=>(const Size&) const = default;  // NOLINT(modernize-use-nullptr)
  };
  // Of one network.
  struct Need {
    Bytes weights = 0;
    Bytes largest = 0;  // the programs of the image that takes most
    Bytes per_thread = 0;
    Bytes all = 0;  // the programs of all images
    Bytes least() const { return weights + largest; }
  };
  const Need& need(DeviceKind device, const Phase& phase) const;
  int group_size(DeviceKind device, int replicas, const Phase& phase) const;
  int tile_side(DeviceKind device, const ImageView& lr) const;
  void prepare(const ParameterStore& store, int group, const Phase& phase, bool with_ssim);
  Program& inference(Size size);
  Program& metrics(Size size);
  Bytes program_budget() const;
  void predict(const ImageView& lr, int count, std::vector<Image>& out);

  SrTask task_;
  const std::vector<SrPhoto>& photos_;
  int tile_;
  Bytes memory_;
  mutable std::array<std::optional<Need>, 2> need_;  // float, quantized; once it is known
  Phase phase_;                                      // what the kept programs compute ...
  bool with_ssim_ = false;                           // ... and measure
  std::unique_ptr<EvaluationStore> store_;           // before the programs, which are bound to it
  ProgramCache programs_;
};

}  // namespace gridstep
