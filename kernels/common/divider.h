// Division of non-negative integers by a divisor that is known before the kernel starts, as one multiplication.
//
// With 2^L >= d and m = ceil(2^(31 + L) / d):  n / d = floor(n m / 2^(31 + L)) for 0 <= n < 2^31 (Granlund &
// Montgomery, "Division by invariant integers using multiplication", PLDI 1994, theorem 4.2).
#pragma once

#include <cstdint>

#include "engine/base/error.h"
#include "engine/base/hd.h"

namespace gridstep {

class Divider {
 public:
  Divider() = default;
  explicit Divider(std::int64_t divisor) {
    GS_CHECK(divisor >= 1 && divisor <= std::int64_t{1} << 30, "a divisor of {} is out of range", divisor);
    while (std::int64_t{1} << (shift_ - 31) < divisor) ++shift_;
    const auto d = static_cast<std::uint64_t>(divisor);
    multiplier_ = static_cast<std::uint32_t>(((std::uint64_t{1} << shift_) + d - 1) / d);
  }

  GS_HD int divide(int n) const {
    return static_cast<int>(static_cast<std::uint64_t>(static_cast<std::uint32_t>(n)) * multiplier_ >> shift_);
  }

 private:
  std::uint32_t multiplier_ = 1u << 31;
  std::uint32_t shift_ = 31;  // 31 + L
};

}  // namespace gridstep
