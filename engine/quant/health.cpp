#include "engine/quant/health.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/base/strict_math.h"

namespace gridstep {
namespace {

std::span<const float> part(const ParameterStore& store, const std::vector<float>& weights, int parameter) {
  const auto begin = static_cast<std::size_t>(store.offset(parameter));
  return std::span(weights).subspan(begin, static_cast<std::size_t>(store.weight(parameter).elements()));
}

std::vector<double> step_values(std::span<const float> parameter, StepForm form) {
  std::vector<double> steps;
  for (const float v : parameter) steps.push_back(static_cast<double>(step_value(v, form)));
  return steps;
}

template <class T>
double relative_change(std::span<const T> after, std::span<const T> before) {
  double change = 0.0, size = 0.0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const double a = static_cast<double>(after[i]), b = static_cast<double>(before[i]);
    change += (a - b) * (a - b);
    size += b * b;
  }
  return size > 0.0 ? std::sqrt(change / size) : 0.0;
}

// How the values of one tensor fall on the codes. Channels are the leading axis of a weight, the last of an activation.
class CodeCount {
 public:
  CodeCount(CodeRange range, std::size_t channels)
      : range_(range), used_(static_cast<std::size_t>(range.p - range.n + 1)), alive_(channels) {}

  void add(float value, float step, std::size_t channel) {
    const auto n = static_cast<float>(range_.n), p = static_cast<float>(range_.p);
    const float t = value / step;
    clipped_ += t < n || t > p ? 1 : 0;
    ++count_;
    if (t != t) return;
    const int code = static_cast<int>(strict::round_even(std::clamp(t, n, p)));
    used_[static_cast<std::size_t>(code - range_.n)] = true;
    if (code != 0) alive_[channel] = true;
  }

  void report(SiteHealth& to) const {
    to.clipped = count_ > 0 ? static_cast<double>(clipped_) / static_cast<double>(count_) : 0.0;
    to.codes_used =
        static_cast<double>(std::count(used_.begin(), used_.end(), true)) / static_cast<double>(used_.size());
    to.dead_channels = std::count(alive_.begin(), alive_.end(), false);
  }

 private:
  CodeRange range_;
  std::vector<bool> used_, alive_;
  std::int64_t clipped_ = 0, count_ = 0;
};

CodeCount count_codes(const QuantizerSite& site, const Shape& shape, std::span<const float> values,
                      const std::vector<double>& steps) {
  const auto channels = static_cast<std::size_t>(shape[site.is_weight ? 0 : shape.rank() - 1]);
  const std::size_t per_channel = values.size() / channels;
  CodeCount count(site.range, channels);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = site.is_weight ? i / per_channel : i % channels;
    count.add(values[i], static_cast<float>(steps[steps.size() > 1 ? channel : 0]), channel);
  }
  return count;
}

}  // namespace

std::vector<std::vector<SiteHealth>> measure_health(Program& forward, ParameterStore& store,
                                                    const std::vector<QuantizerSite>& sites,
                                                    const std::vector<std::vector<float>>& before) {
  const auto status = store.download_status();
  std::vector<std::vector<SiteHealth>> health(before.size());
  std::vector<std::vector<float>> now;
  now.reserve(before.size());
  for (int r = 0; r < store.replicas(); ++r) now.push_back(store.download(store.weights(), r));
  visit_sites(forward, store, sites, [&](const QuantizerSite& site, const Tensor& t) {
    const int parameter = store.find(site.parameter), weight = store.find(site.input);
    std::vector<float> values(static_cast<std::size_t>(t.elements()));
    for (std::size_t r = 0; r < health.size(); ++r) {
      const auto steps = step_values(part(store, now[r], parameter), site.form),
                 old_steps = step_values(part(store, before[r], parameter), site.form);
      SiteHealth h{.name = site.name, .is_weight = site.is_weight};
      for (const double s : steps) h.step += s / static_cast<double>(steps.size());
      h.step_update = relative_change(std::span(steps), std::span(old_steps));
      if (weight >= 0) h.update = relative_change(part(store, now[r], weight), part(store, before[r], weight));
      store.device().download(values.data(), t.at<std::byte>(static_cast<int>(r)),
                              t.elements() * static_cast<Bytes>(sizeof(float)));
      count_codes(site, t.shape, values, steps).report(h);
      health[r].push_back(std::move(h));
    }
  });
  store.upload_status(status);
  return health;
}

}  // namespace gridstep
