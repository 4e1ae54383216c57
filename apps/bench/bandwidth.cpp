#include "apps/bench/bandwidth.h"

#include <algorithm>

namespace gridstep::bench {

Launch copy_launch(Device& device, std::byte* to, const std::byte* from, Bytes bytes) {
  const int tasks = std::max(1, device.threads());
  const auto run = [&device, to, from, bytes, tasks](const TaskContext& context) {
    const Bytes begin = bytes * context.task / tasks, end = bytes * (context.task + 1) / tasks;
    device.copy(to + begin, from + begin, end - begin);
  };
  return {-1, "copy", tasks, run};
}

double copy_bandwidth(Device& device, const TimingOptions& options) {
  const Bytes size = device.kind() == DeviceKind::kCpu ? Bytes{256} << 20 : Bytes{1} << 30;
  const Buffer from(device, size), to(device, size);
  device.fill(from.data(), 1, size);
  device.fill(to.data(), 2, size);
  const auto replay = device.prepare({copy_launch(device, to.data(), from.data(), size)}, 1, 0, true);
  return 2.0 * static_cast<double>(size) / time_replay(options, device, *replay).ms * 1e-6;
}

}  // namespace gridstep::bench
