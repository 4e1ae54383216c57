#include "engine/tensor/tensor.h"

#include <fmt/format.h>

#include <algorithm>

namespace gridstep {

Bytes size_of(DType type) {
  switch (type) {
    case DType::kF64:
      return 8;
    case DType::kF32:
    case DType::kS32:
    case DType::kU32:
      return 4;
    case DType::kU8:
    case DType::kS8:
      return 1;
  }
  return 0;
}

std::string_view name_of(DType type) {
  constexpr std::string_view kNames[] = {"f32", "f64", "u8", "s8", "s32", "u32"};
  return kNames[static_cast<std::size_t>(type)];
}

Shape::Shape(std::initializer_list<Index> dims) : rank_(static_cast<int>(dims.size())) {
  GS_CHECK(rank_ <= kMaxRank, "a shape has at most {} dimensions, not {}", kMaxRank, rank_);
  for (const Index d : dims) GS_CHECK(d >= 0, "a dimension cannot be {}", d);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

Index Shape::elements() const {
  Index n = 1;
  for (int i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

std::string Shape::text() const {
  std::string s = "(";
  for (int i = 0; i < rank_; ++i) s += fmt::format("{}{}", i == 0 ? "" : ", ", (*this)[i]);
  return s + ")";
}

std::string ValueSpec::text() const { return fmt::format("{} {}", name_of(dtype), shape.text()); }

}  // namespace gridstep
