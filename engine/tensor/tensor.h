// Element types, shapes and tensor views. A view owns nothing.
//
// Every tensor of a program exists once per replica. Shapes never show the replica axis: shape (N, H, W, C) means one
// such block per replica, `replica_stride` bytes apart. A tensor that all replicas share has stride 0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace gridstep {

using Index = std::int64_t;
using Bytes = std::int64_t;

enum class DType : std::uint8_t { kF32, kF64, kU8, kS8, kS32, kU32 };

Bytes size_of(DType type);
std::string_view name_of(DType type);  // "f32", "u8", ...

// Up to five dimensions; sizes may be 0.
class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<Index> dims);

  int rank() const { return rank_; }
  Index operator[](int axis) const { return dims_[static_cast<std::size_t>(axis)]; }
  Index elements() const;
  std::string text() const;  // "(16, 17, 17, 64)"
  bool operator==(const Shape&) const = default;

 private:
  std::array<Index, kMaxRank> dims_{};
  int rank_ = 0;
};

struct ValueSpec {
  Shape shape;
  DType dtype = DType::kF32;

  Bytes bytes() const { return shape.elements() * size_of(dtype); }
  std::string text() const;  // "f32 (16, 17, 17, 64)"
  bool operator==(const ValueSpec&) const = default;
};

struct Tensor {
  std::byte* data = nullptr;
  Shape shape;
  DType dtype = DType::kF32;
  Bytes replica_stride = 0;

  Index elements() const { return shape.elements(); }

  // First element of a replica's block. The caller names the type it knows the tensor to have.
  template <class T>
  T* at(int replica) const {
    return reinterpret_cast<T*>(data + replica_stride * replica);
  }
};

constexpr Bytes kAlignment = 256;  // of every buffer: 16-byte vectors, cache lines, cudaMalloc's own promise
constexpr Bytes align_up(Bytes n, Bytes alignment = kAlignment) { return (n + alignment - 1) / alignment * alignment; }

}  // namespace gridstep
