#include "apps/bench/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

namespace gridstep::bench {
namespace {

using Clock = std::chrono::steady_clock;

double quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(std::floor(share * static_cast<double>(sorted.size() - 1) + 0.5))];
}

Timing summary(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const double middle = quantile(samples, 0.5);
  const double spread = quantile(samples, 0.75) - quantile(samples, 0.25);
  const double half = 1.57 * spread / std::sqrt(static_cast<double>(samples.size()));
  return {middle, middle > 0.0 ? half / middle : 0.0, static_cast<int>(samples.size()), 0.0};
}

double once_ms(const std::function<void(int)>& runs, int n) {
  const auto start = Clock::now();
  runs(n);
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double cpu_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return quantile(values, 0.5);
}

Timing time_runs(const TimingOptions& options, const std::function<void(int)>& runs) {
  constexpr int kLeast = 9;  // samples
  runs(2);                   // warms up: a captured program is captured in its second run
  int n = 1;
  while (once_ms(runs, n) < options.sample_ms && n < (1 << 20)) n *= 2;
  std::vector<double> samples, cpu;
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  for (;;) {
    const double before = cpu_ms();
    samples.push_back(once_ms(runs, n) / n);
    cpu.push_back((cpu_ms() - before) / n);
    if (samples.size() < kLeast) continue;
    if (Clock::now() >= end) break;
    if (summary(samples).error <= options.wanted) break;
  }
  Timing timing = summary(samples);
  timing.cpu_ms = median(cpu);
  return timing;
}

Timing time_replay(const TimingOptions& options, Device& device, Replay& replay) {
  return time_runs(options, [&](int n) {
    for (int i = 0; i < n; ++i) replay.run();
    device.synchronize();
  });
}

}  // namespace gridstep::bench
