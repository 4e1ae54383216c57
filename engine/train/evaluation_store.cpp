#include "engine/train/evaluation_store.h"

#include "engine/base/error.h"

namespace gridstep {

EvaluationStore::EvaluationStore(const ParameterStore& source, int replicas)
    : store_(source.device(), source.table(), replicas, 0, false) {}

void EvaluationStore::take(const ParameterStore& source, int first, int count) {
  GS_CHECK(source.stride() == store_.stride() && count <= store_.replicas(),
           "{} replicas of {} floats do not fit a group of {} of {}", count, source.stride(), store_.replicas(),
           store_.stride());
  for (int r = 0; r < count; ++r) {
    store_.upload(store_.weights(), r, source.download(source.weights(), first + r));
  }
  store_.upload_status(std::vector<ReplicaStatus>(static_cast<std::size_t>(store_.replicas())));
}

std::vector<bool> EvaluationStore::faults() const {
  std::vector<bool> faults;
  for (const ReplicaStatus& status : store_.download_status()) faults.push_back(status.first_fault != 0);
  return faults;
}

}  // namespace gridstep
