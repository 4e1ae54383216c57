#include "engine/train/running_statistics.h"

#include <utility>

#include "engine/base/error.h"

namespace gridstep {
namespace {

// Where the elements of all states lie in a replica's weights.
std::vector<std::size_t> places_of(const ParameterStore& store, const std::vector<std::string>& states) {
  std::vector<std::size_t> places;
  for (const std::string& name : states) {
    const int state = store.find(name);
    GS_CHECK(state >= 0, "no state '{}'", name);
    const auto begin = static_cast<std::size_t>(store.offset(state));
    const auto size = static_cast<std::size_t>(store.weight(state).elements());
    for (std::size_t i = begin; i < begin + size; ++i) places.push_back(i);
  }
  return places;
}

}  // namespace

void average_statistics(Program& forward, ParameterStore& store, const std::vector<std::string>& states, int batches,
                        const std::function<void(int)>& select) {
  const auto status = store.download_status();
  const std::vector<std::size_t> places = places_of(store, states);
  std::vector<std::vector<double>> sums(status.size(), std::vector<double>(places.size()));
  // The passes write the states of every replica, also of those that are to keep theirs.
  std::vector<std::vector<float>> kept(status.size());
  for (std::size_t r = 0; r < status.size(); ++r) {
    if (status[r].first_fault != 0) kept[r] = store.download(store.weights(), static_cast<int>(r));
  }
  for (int b = 0; b < batches; ++b) {
    select(b);
    forward.run();
    store.device().synchronize();
    for (std::size_t r = 0; r < sums.size(); ++r) {
      const std::vector<float> weights = store.download(store.weights(), static_cast<int>(r));
      for (std::size_t i = 0; i < places.size(); ++i) sums[r][i] += static_cast<double>(weights[places[i]]);
    }
  }
  for (std::size_t r = 0; r < sums.size(); ++r) {
    std::vector<float> weights = std::move(kept[r]);
    if (weights.empty()) {
      weights = store.download(store.weights(), static_cast<int>(r));
      for (std::size_t i = 0; i < places.size(); ++i) weights[places[i]] = static_cast<float>(sums[r][i] / batches);
    }
    store.upload(store.weights(), static_cast<int>(r), weights);
  }
  store.upload_status(status);
}

}  // namespace gridstep
