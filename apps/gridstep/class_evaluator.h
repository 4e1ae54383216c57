// Evaluation of classifiers on labelled images, uncropped: every image once, in batches, the last of them smaller;
// replicas in groups that fit the memory given. Neither batches nor groups change a result.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "apps/gridstep/class_task.h"
#include "engine/train/evaluation_store.h"

namespace gridstep {

struct ClassMetrics {
  double top1 = 0.0, top5 = 0.0;  // percent
  double loss = 0.0;              // mean over images
  bool fault = false;             // a NaN or infinity was met
};

class ClassEvaluator {
 public:
  // The first `count` images.
  ClassEvaluator(ClassTask task, const LabelledDataset& images, std::int64_t count, Bytes memory);

  // Per replica. The store is only read. Throws DeviceError when the memory given does not suffice for one network.
  std::vector<ClassMetrics> evaluate(const ParameterStore& store, const Phase& phase);

  // The most that evaluating `replicas` networks holds: their weights and the programs. Never above the memory given.
  Bytes planned_bytes(DeviceKind device, int replicas, const Phase& phase) const;
  Bytes scratch_per_thread(DeviceKind device, const Phase& phase) const;

 private:
  std::vector<Index> batch_sizes() const;  // one or two
  Bytes bytes_of_one(DeviceKind device, const Phase& phase) const;
  int group_size(DeviceKind device, int replicas, const Phase& phase) const;
  void prepare(const ParameterStore& store, int group, const Phase& phase);
  void measure(Program& program, Index first, Index n, int replicas, ClassMetrics* sums);

  ClassTask task_;
  const LabelledDataset& images_;
  Index count_;
  Bytes memory_;
  Phase phase_;                                         // what the programs compute
  std::unique_ptr<EvaluationStore> store_;              // before the programs, which are bound to it
  std::map<Index, std::unique_ptr<Program>> programs_;  // by batch size
};

}  // namespace gridstep
