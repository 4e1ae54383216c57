// Checks that shape inference shares. Messages say what was wanted; Graph::add_node adds the node and its input shapes.
#pragma once

#include <span>
#include <string_view>

#include "engine/base/error.h"
#include "engine/tensor/tensor.h"

namespace gridstep {

inline void expect_inputs(std::span<const ValueSpec> in, std::size_t count) {
  if (in.size() != count) fail<ConfigError>("takes {} inputs, got {}", count, in.size());
}

// Empty tensors are refused: a batch or an image without elements is a mistake upstream, and a mean over it has no
// value.
inline void expect_tensor(const ValueSpec& spec, DType dtype, std::string_view what) {
  if (spec.dtype != dtype) fail<ConfigError>("{} must be {}, got {}", what, name_of(dtype), spec.text());
  if (spec.shape.elements() <= 0) fail<ConfigError>("{} is empty: {}", what, spec.text());
}

inline void expect_same_shape(const ValueSpec& a, const ValueSpec& b) {
  if (a.shape != b.shape) fail<ConfigError>("shapes differ: {} and {}", a.text(), b.text());
}

inline void expect_rank(const ValueSpec& spec, int rank, std::string_view what) {
  if (spec.shape.rank() != rank) fail<ConfigError>("{} must have rank {}, got {}", what, rank, spec.text());
}

}  // namespace gridstep
