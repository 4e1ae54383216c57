// Copies of some replicas' weights for measuring networks: a population is measured in groups that fit the memory
// given, and whatever a measurement does leaves the population itself alone.
#pragma once

#include "engine/graph/parameter_store.h"

namespace gridstep {

class EvaluationStore {
 public:
  // Room for `replicas` of the source's.
  EvaluationStore(const ParameterStore& source, int replicas);

  ParameterStore& store() { return store_; }
  // Takes over the weights of `count` replicas of the source from `first` on, and forgets all faults.
  void take(const ParameterStore& source, int first, int count);
  // After programs have run: whether this replica of the group met a NaN or an infinity.
  std::vector<bool> faults() const;

 private:
  ParameterStore store_;
};

}  // namespace gridstep
