#include "engine/train/stored_layout.h"

#include <algorithm>

namespace gridstep {
namespace {

// (K, R, S, C) <-> (K, C, R, S)
void permute(const float* from, float* to, const Shape& krsc, bool to_kcrs) {
  const Index taps = krsc[1] * krsc[2], channels = krsc[3];
  for (Index k = 0; k < krsc[0]; ++k) {
    for (Index t = 0; t < taps; ++t) {
      for (Index c = 0; c < channels; ++c) {
        const Index plain = (k * taps + t) * channels + c, torch = (k * channels + c) * taps + t;
        to[to_kcrs ? torch : plain] = from[to_kcrs ? plain : torch];
      }
    }
  }
}

}  // namespace

std::vector<Index> stored_shape(const Shape& shape) {
  if (shape.rank() == 4) return {shape[0], shape[3], shape[1], shape[2]};
  std::vector<Index> dims;
  dims.reserve(static_cast<std::size_t>(shape.rank()));
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return dims;
}

std::vector<float> to_stored(const Shape& shape, const float* values) {
  std::vector<float> stored(values, values + shape.elements());
  if (shape.rank() == 4) permute(values, stored.data(), shape, true);
  return stored;
}

void from_stored(const Shape& shape, const std::vector<float>& stored, float* values) {
  if (shape.rank() == 4) {
    permute(stored.data(), values, shape, false);
  } else {
    std::copy(stored.begin(), stored.end(), values);
  }
}

}  // namespace gridstep
