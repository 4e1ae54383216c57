#include "engine/quant/calibrate.h"

#include <algorithm>
#include <cmath>

#include "engine/base/strict_math.h"
#include "engine/quant/observer.h"

namespace gridstep {
namespace {

std::vector<float> download(ParameterStore& store, const Tensor& t, int replica) {
  std::vector<float> values(static_cast<std::size_t>(t.elements()));
  store.device().download(values.data(), t.at<std::byte>(replica), t.elements() * static_cast<Bytes>(sizeof(float)));
  return values;
}

void upload(ParameterStore& store, const std::string& name, int replica, const std::vector<float>& values) {
  const int index = store.find(name);
  GS_CHECK(index >= 0, "no parameter '{}' to calibrate", name);
  const Tensor t = store.weight(index);
  store.device().upload(t.at<std::byte>(replica), values.data(), static_cast<Bytes>(values.size() * sizeof(float)));
}

std::vector<float> steps_of(const QuantizerSite& site, const Tensor& t, const std::vector<float>& values) {
  const auto whole = [&] { return static_cast<float>(initial_step(values, site.range, !site.is_weight)); };
  if (!site.per_channel) return {whole()};
  std::vector<float> steps;
  const std::size_t channels = static_cast<std::size_t>(t.shape[0]), size = values.size() / channels;
  for (std::size_t k = 0; k < channels; ++k) {
    const std::span<const float> channel(values.data() + k * size, size);
    const bool dead = std::all_of(channel.begin(), channel.end(), [](float v) { return v == 0.0f; });
    steps.push_back(dead ? whole() : static_cast<float>(initial_step(channel, site.range, false)));
  }
  return steps;
}

}  // namespace

void calibrate(Program& forward, ParameterStore& store, const std::vector<QuantizerSite>& sites) {
  const auto status = store.download_status();
  visit_sites(forward, store, sites, [&](const QuantizerSite& site, const Tensor& t) {
    for (int r = 0; r < store.replicas(); ++r) {
      if (status[static_cast<std::size_t>(r)].first_fault != 0) continue;  // diverged: its values mean nothing
      std::vector<float> steps = steps_of(site, t, download(store, t, r));
      upload(store, site.state, r, steps);
      if (site.form == StepForm::kLog) {
        for (float& s : steps) s = strict::log(s);
      }
      upload(store, site.parameter, r, steps);
    }
  });
  store.note_change();
  store.upload_status(status);
}

}  // namespace gridstep
