// Timing with a noise criterion.
#pragma once

#include <functional>
#include <vector>

#include "engine/device/device.h"

namespace gridstep::bench {

struct TimingOptions {
  double seconds = 2.0;    // the most to spend
  double wanted = 0.01;    // stop once half the 95 % interval of the median is this share of it
  double sample_ms = 1.0;  // runs are gathered into samples of at least this length
};

struct Timing {
  double ms = 0.0;     // median of one run
  double error = 0.0;  // half its 95 % interval, as a share: 1.57 IQR / sqrt(n) (McGill, Tukey, Larsen 1978)
  int samples = 0;
  double cpu_ms = 0.0;  // processor time of one run, of all threads together: median as well
};

// Times `runs(n)`: n runs, then waiting for their end. One call warms up.
Timing time_runs(const TimingOptions& options, const std::function<void(int n)>& runs);

// The same for prepared launches.
Timing time_replay(const TimingOptions& options, Device& device, Replay& replay);

double median(std::vector<double> values);

}  // namespace gridstep::bench
