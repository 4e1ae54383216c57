// Networks' worth of segments for the tests, and their contents.
#pragma once

#include <random>
#include <vector>

#include "tests/optim/population.h"
#include "tests/reference/optim_oracle.h"

namespace gridstep::test {

// Two tasks on the CPU. Sizes 0, 1 and odd ones, unaligned beginnings, gaps, units that straddle tiles, a head that is
// not clipped, both kinds of steps.
struct Layout {
  std::vector<Segment> segments;
  Index size = 0;
  Index stride = 0;

  void add(Role role, Index size_, Index units, Index gap = 0, bool clip = true, StepKind kind = StepKind::kNone) {
    Segment s{.begin = size + gap,
              .size = size_,
              .unit = size_ / std::max<Index>(units, 1),
              .role = role,
              .clip_units = clip};
    s.step_kind = kind;
    size = s.begin + s.size;
    segments.push_back(s);
  }
  // Lays the calibrated steps behind the trained floats.
  void finish(Index padding) {
    Index at = size + padding;
    for (Segment& s : segments) {
      if (s.step_kind == StepKind::kNone) continue;
      s.step0 = at;
      at += s.size;
    }
    stride = at + padding;
  }
};

// Weights with codes beside others without: one step for all, rows that straddle tiles, rows of one weight (more steps
// than a tile), unaligned beginnings; and which of them have codes.
inline Layout coded_layout() {
  Layout layout;
  layout.add(Role::kWeight, 7 * 75, 7, 1);
  layout.add(Role::kBias, 7, 1);
  layout.add(Role::kStep, 7, 1, 0, true, StepKind::kLog);
  layout.add(Role::kWeight, 2 * 4999, 2, 2);
  layout.add(Role::kStep, 1, 1, 0, true, StepKind::kLinear);
  layout.add(Role::kWeight, 33, 33);
  layout.add(Role::kStep, 1, 1, 3, true, StepKind::kLog);  // of something without codes
  layout.add(Role::kStep, 3, 1, 0, true, StepKind::kLog);
  layout.add(Role::kWeight, 3 * 4100, 3);
  layout.add(Role::kWeight, 4500, 4500, 1);
  layout.add(Role::kStep, 4500, 1, 1, true, StepKind::kLinear);
  layout.finish(5);
  return layout;
}

inline std::vector<CodedWeights> coded_weights() {
  return {{0, 2, {-8, 7}}, {3, 4, {-127, 127}}, {8, 7, {0, 3}}, {9, 10, {-1, 1}}};
}

inline Layout mixed_layout() {
  Layout layout;
  layout.add(Role::kWeight, 7 * 75, 7);
  layout.add(Role::kBias, 7, 1, 3);
  layout.add(Role::kStep, 1, 1, 0, true, StepKind::kLog);
  layout.add(Role::kWeight, 0, 1);
  layout.add(Role::kWeight, 2 * 4999, 2, 2);  // longer than two tiles
  layout.add(Role::kBias, 1, 1);
  layout.add(Role::kStep, 9, 1, 0, true, StepKind::kLinear);
  layout.add(Role::kWeight, 5 * 1024, 5, 5, false);
  layout.add(Role::kWeight, 160 * 128, 160, 4);
  layout.finish(3);
  return layout;
}

// Normal weights, calibrated steps around 0.1 and steps beside them; different for every seed.
inline void fill_replica(const Layout& layout, float* weights, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::fill(weights, weights + layout.stride, 0.0f);
  for (const Segment& s : layout.segments) {
    for (Index i = 0; i < s.size; ++i) {
      float& w = weights[s.begin + i];
      w = 0.3f * normal(generator);
      if (s.step_kind == StepKind::kNone) continue;
      const float step0 = 0.1f * std::exp(0.5f * w);
      weights[s.step0 + i] = step0;
      w = s.step_kind == StepKind::kLog ? std::log(step0) : step0;
    }
  }
}

inline void fill_gradients(const Layout& layout, float* gradients, std::uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  for (const Segment& s : layout.segments) {
    for (Index i = 0; i < s.size; ++i) gradients[s.begin + i] = scale * normal(generator);
  }
}

inline std::vector<std::vector<double>> split(const Layout& layout, const float* flat) {
  std::vector<std::vector<double>> parts;
  for (const Segment& s : layout.segments) parts.emplace_back(flat + s.begin, flat + s.begin + s.size);
  return parts;
}

inline std::vector<reference::OracleTensor> oracle_tensors(const Layout& layout, const float* weights) {
  using reference::TensorKind;
  std::vector<reference::OracleTensor> tensors;
  for (const Segment& s : layout.segments) {
    reference::OracleTensor x;
    x.kind = s.role == Role::kWeight ? TensorKind::kWeight : TensorKind::kBias;
    if (s.step_kind == StepKind::kLinear) x.kind = TensorKind::kLinearStep;
    if (s.step_kind == StepKind::kLog) x.kind = TensorKind::kLogStep;
    x.value.assign(weights + s.begin, weights + s.begin + s.size);
    if (s.step_kind != StepKind::kNone) x.step0.assign(weights + s.step0, weights + s.step0 + s.size);
    x.units = s.unit > 0 ? static_cast<std::size_t>(s.size / s.unit) : 1;
    x.clip = s.clip_units;
    tensors.push_back(std::move(x));
  }
  return tensors;
}

// Every rule, with and without its optional state.
inline std::vector<ReplicaRule> all_replica_rules() {
  std::vector<ReplicaRule> rules;
  for (const OptimizerInfo& info : all_optimizers())
    rules.push_back({std::string(info.name), {{"weight_decay", 0.05}}});
  rules.push_back(
      {"sgd", {{"momentum", 0.9}, {"dampening", 0.2}, {"step_lr_factor", 0.5}, {"step_weight_decay", 0.01}}});
  rules.push_back({"rmsprop", {{"momentum", 0.9}, {"alpha", 0.9}}});
  rules.push_back({"rmsprop", {{"centered", 1}, {"eps", 1e-2}, {"momentum", 0.5}, {"alpha", 0.9}}});
  rules.push_back({"adagrad", {{"lr_decay", 0.1}, {"initial_accumulator", 0.5}}});
  rules.push_back({"sgd_clip", {{"max_norm", 140.0}, {"momentum", 0.9}}});
  rules.push_back({"agc_sgd", {{"clipping", 3.0}, {"momentum", 0.9}, {"weight_decay", 0.1}}});
  return rules;
}

}  // namespace gridstep::test
