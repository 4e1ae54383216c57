// Drives recorded launches by hand: any order of tasks and replicas, without a thread pool.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "engine/device/device.h"

namespace gridstep::test {

enum class TaskOrder { kForward, kBackward, kShuffled };

// Runs the launches in order, the (replica, task) pairs of each in the given order. `scratch_bytes` as the recorder
// asks for.
inline void run_launches(const std::vector<Launch>& launches, int replicas, TaskOrder order = TaskOrder::kForward,
                         Bytes scratch_bytes = 0, std::uint32_t seed = 1) {
  std::vector<std::byte> scratch(static_cast<std::size_t>(scratch_bytes + kAlignment));
  const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
  std::byte* const aligned = scratch.data() + (align_up(static_cast<Bytes>(address)) - static_cast<Bytes>(address));
  std::mt19937 generator(seed);
  for (const Launch& launch : launches) {
    std::vector<std::pair<int, int>> tasks;
    for (int replica = 0; replica < replicas; ++replica) {
      for (int task = 0; task < launch.tasks; ++task) tasks.emplace_back(replica, task);
    }
    if (order == TaskOrder::kBackward) std::reverse(tasks.begin(), tasks.end());
    if (order == TaskOrder::kShuffled) std::shuffle(tasks.begin(), tasks.end(), generator);
    for (const auto& [replica, task] : tasks) {
      std::fill(scratch.begin(), scratch.end(), std::byte{0xff});  // NaN: a read before a write shows
      launch.run({replica, task, aligned});
    }
  }
}

}  // namespace gridstep::test
