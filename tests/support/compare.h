// Comparisons that cannot be fooled: sizes first, then NaN (never accepted, on either side), then the worst element,
// with its index.
//   CHECK_SAME(compare(got, want, {.abs = 1e-6, .rel = 1e-5}));   CHECK_SAME(compare_exact(got, want));
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
#include <string>

#include "tests/support/catch.h"

namespace gridstep::test {

struct Tolerance {
  double abs = 0.0;
  double rel = 0.0;  // of |want|
};

struct Comparison {
  bool ok = true;
  std::ptrdiff_t index = -1;  // of the worst element; -1: none, or the sizes differ
  double ratio = 0.0;         // worst |got - want| / (abs + rel * |want|); at most 1 passes
  std::string message;
};

namespace detail {

inline Comparison failure(std::ptrdiff_t index, std::string message) {
  return {false, index, HUGE_VAL, std::move(message)};
}

template <class Got, class Want>
auto sizes_differ(const Got& got, const Want& want) {
  return failure(-1, fmt::format("{} elements, wanted {}", std::size(got), std::size(want)));
}

}  // namespace detail

// Floating-point values within a tolerance. Infinities pass only where both sides have the same one; two empty ranges
// are equal.
template <class Got, class Want>
Comparison compare(const Got& got, const Want& want, Tolerance tolerance) {
  if (std::size(got) != std::size(want)) return detail::sizes_differ(got, want);
  Comparison worst;
  for (std::size_t i = 0; i < std::size(got); ++i) {
    const double g = static_cast<double>(got[i]), w = static_cast<double>(want[i]);
    const auto index = static_cast<std::ptrdiff_t>(i);
    if (std::isnan(g) || std::isnan(w))
      return detail::failure(index, fmt::format("[{}] is {}, wanted {}: NaN", i, g, w));
    if (std::isinf(g) || std::isinf(w)) {
      if (g != w) return detail::failure(index, fmt::format("[{}] is {}, wanted {}", i, g, w));
      continue;
    }
    const double error = std::fabs(g - w), allowed = tolerance.abs + tolerance.rel * std::fabs(w);
    const double ratio = error == 0.0 ? 0.0 : error / allowed;  // x / 0 is infinite: exact comparison
    if (ratio > worst.ratio) {
      worst.ratio = ratio;
      worst.index = index;
      worst.message =
          fmt::format("[{}] is {:.9g}, wanted {:.9g}: off by {:.3g}, allowed {:.3g}", i, g, w, error, allowed);
    }
  }
  worst.ok = worst.ratio <= 1.0;
  return worst;
}

// Equal values: codes, indices, counts, and floats meant to be equal (then +0 equals -0; see compare_bits).
template <class Got, class Want>
Comparison compare_exact(const Got& got, const Want& want) {
  return compare(got, want, {});
}

// Equal bits: signs of zero and NaN payloads count too. For results that two implementations promise alike.
template <class Got, class Want>
Comparison compare_bits(const Got& got, const Want& want) {
  using T = std::remove_cvref_t<decltype(got[0])>;
  static_assert(std::is_same_v<T, std::remove_cvref_t<decltype(want[0])>>);
  if (std::size(got) != std::size(want)) return detail::sizes_differ(got, want);
  for (std::size_t i = 0; i < std::size(got); ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(T)) != 0) {
      return detail::failure(static_cast<std::ptrdiff_t>(i),
                             fmt::format("bits differ at [{}]: {} and {}", i, +got[i], +want[i]));
    }
  }
  return {};
}

}  // namespace gridstep::test

#define CHECK_SAME(...)                                             \
  do {                                                              \
    const ::gridstep::test::Comparison comparison_ = (__VA_ARGS__); \
    INFO(comparison_.message);                                      \
    CHECK(comparison_.ok);                                          \
  } while (false)
