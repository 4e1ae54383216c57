#include "engine/train/running_statistics.h"

#include "engine/base/error.h"

namespace gridstep {

void average_statistics(Program& forward, ParameterStore& store, const std::vector<std::string>& states, int batches,
                        const std::function<void(int)>& select) {
  const auto status = store.download_status();
  const auto stride = static_cast<std::size_t>(store.stride());
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(store.replicas()), std::vector<double>(stride));
  std::vector<std::vector<float>> weights(sums.size());
  for (int b = 0; b < batches; ++b) {
    select(b);
    forward.run();
    store.device().synchronize();
    for (std::size_t r = 0; r < sums.size(); ++r) {
      weights[r] = store.download(store.weights(), static_cast<int>(r));
      for (std::size_t i = 0; i < stride; ++i) sums[r][i] += static_cast<double>(weights[r][i]);
    }
  }
  for (std::size_t r = 0; r < sums.size(); ++r) {
    if (status[r].first_fault != 0) continue;
    for (const std::string& name : states) {
      const int state = store.find(name);
      GS_CHECK(state >= 0, "no state '{}'", name);
      const auto begin = static_cast<std::size_t>(store.offset(state));
      for (std::size_t i = begin; i < begin + static_cast<std::size_t>(store.weight(state).elements()); ++i)
        weights[r][i] = static_cast<float>(sums[r][i] / batches);
    }
    store.upload(store.weights(), static_cast<int>(r), weights[r]);
  }
  store.upload_status(status);
}

}  // namespace gridstep
