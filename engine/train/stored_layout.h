// How parameters lie in files, as PyTorch has them: convolution weights (K, C, R, S); in memory they are (K, R, S, C).
#pragma once

#include <vector>

#include "engine/tensor/tensor.h"

namespace gridstep {

std::vector<Index> stored_shape(const Shape& shape);

// From memory to file and back; `values` has the shape's elements.
std::vector<float> to_stored(const Shape& shape, const float* values);
void from_stored(const Shape& shape, const std::vector<float>& stored, float* values);

}  // namespace gridstep
