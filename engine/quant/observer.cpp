#include "engine/quant/observer.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace gridstep {
namespace {

constexpr int kCandidates = 95;
constexpr int kBins = 2048;

struct Weighted {
  double value, count;
};

double squared_error(std::span<const Weighted> points, double s, CodeRange range) {
  double error = 0.0;
  for (const Weighted& p : points) {
    const double q =
        std::nearbyint(std::clamp(p.value / s, static_cast<double>(range.n), static_cast<double>(range.p)));
    const double d = p.value - q * s;
    error += p.count * d * d;
  }
  return error;
}

// The step at which neither end of the data is clipped.
double full_step(double lo, double hi, CodeRange range) {
  double s = hi > 0.0 ? hi / range.p : 0.0;
  if (lo < 0.0 && range.n < 0) s = std::max(s, lo / range.n);
  return s;
}

double best_step(std::span<const Weighted> points, CodeRange range) {
  double lo = 0.0, hi = 0.0;
  for (const Weighted& p : points) {
    lo = std::min(lo, p.value);
    hi = std::max(hi, p.value);
  }
  const double full = full_step(lo, hi, range);
  if (!(full > 0.0)) return 1.0;
  double best = full, best_error = squared_error(points, full, range);
  for (int i = 1; i < kCandidates; ++i) {
    const double s = full * (1.0 - 0.01 * i);
    const double error = squared_error(points, s, range);
    if (error < best_error) {
      best = s;
      best_error = error;
    }
  }
  return best;
}

int bits_of(CodeRange range) {
  int bits = 1;
  while ((1 << bits) < range.p - range.n + 1) ++bits;
  return bits;
}

}  // namespace

double lsq_initial_step(std::span<const float> values, CodeRange range) {
  double sum = 0.0, count = 0.0;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    sum += std::abs(static_cast<double>(v));
    count += 1.0;
  }
  const double mean = count > 0.0 ? sum / count : 0.0;
  return mean > 0.0 ? 2.0 * mean / std::sqrt(static_cast<double>(range.p)) : 1.0;
}

double mse_initial_step(std::span<const float> values, CodeRange range) {
  std::vector<Weighted> points;
  for (const float v : values) {
    if (std::isfinite(v)) points.push_back({static_cast<double>(v), 1.0});
  }
  return best_step(points, range);
}

double mse_histogram_step(std::span<const float> values, CodeRange range) {
  double lo = 0.0, hi = 0.0;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    lo = std::min(lo, static_cast<double>(v));
    hi = std::max(hi, static_cast<double>(v));
  }
  if (lo == hi) return 1.0;
  const double width = (hi - lo) / kBins;
  std::vector<Weighted> bins(kBins);
  for (int i = 0; i < kBins; ++i) bins[static_cast<std::size_t>(i)] = {lo + (i + 0.5) * width, 0.0};
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    const int i = std::min(kBins - 1, static_cast<int>((static_cast<double>(v) - lo) / width));
    bins[static_cast<std::size_t>(i)].count += 1.0;
  }
  std::erase_if(bins, [](const Weighted& w) { return w.count == 0.0; });
  return best_step(bins, range);
}

double initial_step(std::span<const float> values, CodeRange range, bool large) {
  if (bits_of(range) <= kLsqInitMaxBits) return lsq_initial_step(values, range);
  return large ? mse_histogram_step(values, range) : mse_initial_step(values, range);
}

}  // namespace gridstep
