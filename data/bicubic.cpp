#include "data/bicubic.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/base/error.h"

namespace gridstep {
namespace {

// Weights of one output sample over consecutive source samples starting at `first` (which may lie outside).
struct Taps {
  int first = 0;
  std::vector<std::int16_t> weights;
};

// 2 (2s)^3 k(m / (2s)): an integer for integer m.
std::int16_t kernel_numerator(int m, int scale) {
  const int n = std::abs(m);
  const int d = 2 * scale;
  int value = 0;
  if (n <= d)
    value = 3 * n * n * n - 5 * d * n * n + 2 * d * d * d;
  else if (n < 2 * d)
    value = -n * n * n + 5 * d * n * n - 8 * d * d * n + 4 * d * d * d;
  return static_cast<std::int16_t>(value);  // at most 2 (2 kMaxResampleScale)^3 = 8192
}

// How one axis is resampled. Every output sample has the same number of taps and the same sum of weights.
struct Axis {
  int in = 0;
  int out = 0;
  std::vector<Taps> phases;  // output y uses phases[y % phases.size()], moved by y / phases.size() * advance
  int advance = 1;
  std::int32_t total = 0;

  const Taps& taps(int y) const { return phases[static_cast<std::size_t>(y) % phases.size()]; }
  int first(int y) const { return taps(y).first + y / static_cast<int>(phases.size()) * advance; }
};

Axis reduction_axis(int in, int scale) {
  Axis axis{in, in / scale, {Taps{}}, scale, 0};
  Taps& taps = axis.phases.front();
  taps.first = -(3 * scale + 2) / 2 + 1;
  for (int i = taps.first; scale - 1 - 2 * i > -4 * scale; ++i) {
    taps.weights.push_back(kernel_numerator(scale - 1 - 2 * i, scale));  // m = 2 (u - i)
    axis.total += taps.weights.back();
  }
  return axis;
}

Axis enlargement_axis(int in, int scale) {
  Axis axis{in, in * scale, std::vector<Taps>(static_cast<std::size_t>(scale)), 1, 16 * scale * scale * scale};
  for (int y = 0; y < scale; ++y) {
    const int centre = 2 * y + 1 - scale;  // 2 s u
    Taps& taps = axis.phases[static_cast<std::size_t>(y)];
    taps.first = (centre < 0 ? -1 : 0) - 1;
    for (int i = taps.first; i < taps.first + 4; ++i)
      taps.weights.push_back(kernel_numerator(centre - 2 * scale * i, scale));
  }
  return axis;
}

int outside(int i, int n, Border border) {
  if (i >= 0 && i < n) return i;
  if (border == Border::kReplicate) return i < 0 ? 0 : n - 1;
  const int period = 2 * n;
  const int r = ((i % period) + period) % period;
  return r < n ? r : period - 1 - r;
}

// round_half_up(sum / total), clamped to 8 bits. Half a unit is added to the integer numerator, so that the product
// lies clear of every integer boundary and its floor is the exact quotient whatever the last bit of the reciprocal.
class Rounder {
 public:
  explicit Rounder(std::int32_t total) : total_(total), reciprocal_(1.0 / (2.0 * total)) {}
  std::uint8_t operator()(std::int32_t sum) const {
    const std::int32_t positive = std::max(sum, 0);
    const auto q = static_cast<std::int32_t>((2 * positive + total_ + 0.5) * reciprocal_);
    return static_cast<std::uint8_t>(std::min(q, 255));
  }

 private:
  std::int32_t total_;
  double reciprocal_;
};

// Columns that are summed together: a constant trip count lets the compiler keep them in vector registers.
constexpr std::size_t kColumns = 32;

// out[x] = round(sum_t weights[t] * rows[t][x]) for `n` columns; N is n where it is known.
template <std::size_t N>
void sum_columns(const std::vector<const std::uint8_t*>& rows, const std::vector<std::int16_t>& weights, std::size_t x0,
                 std::size_t n, Rounder rounded, std::uint8_t* out) {
  std::int32_t sums[kColumns] = {};
  const std::size_t count = N != 0 ? N : n;
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const std::uint8_t* row = rows[t] + x0;
    const std::int16_t weight = weights[t];
    for (std::size_t x = 0; x < count; ++x) sums[x] += weight * static_cast<std::int16_t>(row[x]);
  }
  for (std::size_t x = 0; x < count; ++x) out[x0 + x] = rounded(sums[x]);
}

Image vertical_pass(ImageView source, const Axis& axis, Border border) {
  Image result(axis.out, source.width, source.channels);
  const std::size_t n = source.row_bytes();
  const Rounder rounded(axis.total);
  std::vector<const std::uint8_t*> rows(axis.taps(0).weights.size());
  for (int y = 0; y < axis.out; ++y) {
    const std::vector<std::int16_t>& weights = axis.taps(y).weights;
    for (std::size_t t = 0; t < rows.size(); ++t)
      rows[t] = source.row(outside(axis.first(y) + static_cast<int>(t), axis.in, border));
    std::uint8_t* out = result.row(y);
    std::size_t x = 0;
    for (; x + kColumns <= n; x += kColumns) sum_columns<kColumns>(rows, weights, x, kColumns, rounded, out);
    sum_columns<0>(rows, weights, x, n - x, rounded, out);
  }
  return result;
}

Image horizontal_pass(ImageView source, const Axis& axis, Border border) {
  Image result(source.height, axis.out, source.channels);
  const auto channels = static_cast<std::size_t>(source.channels);
  const int lowest = axis.first(0);
  const int end = axis.first(axis.out - 1) + static_cast<int>(axis.taps(axis.out - 1).weights.size());
  const Rounder rounded(axis.total);
  std::vector<std::uint8_t> padded(static_cast<std::size_t>(end - lowest) * channels);
  const auto padded_at = [&](int i) { return &padded[static_cast<std::size_t>(i - lowest) * channels]; };
  for (int y = 0; y < source.height; ++y) {
    for (int i = lowest; i < end; ++i)
      std::memcpy(padded_at(i), source.pixel(y, outside(i, axis.in, border)), channels);
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < axis.out; ++x) {
      const std::vector<std::int16_t>& weights = axis.taps(x).weights;
      const std::uint8_t* from = padded_at(axis.first(x));
      for (std::size_t c = 0; c < channels; ++c) {
        std::int32_t sum = 0;
        for (std::size_t t = 0; t < weights.size(); ++t) sum += weights[t] * from[t * channels + c];
        *out++ = rounded(sum);
      }
    }
  }
  return result;
}

void check_scale(int scale) {
  if (scale < 1 || scale > kMaxResampleScale)
    fail<ConfigError>("scale {}: only whole factors from 1 to {} are resampled", scale, kMaxResampleScale);
}

}  // namespace

std::string_view border_name(Border border) { return border == Border::kMirror ? "mirror" : "replicate"; }

Border parse_border(std::string_view name) {
  if (name == "mirror") return Border::kMirror;
  if (name == "replicate") return Border::kReplicate;
  fail<ConfigError>("border '{}': must be mirror or replicate", name);
}

Image crop_to_multiple(ImageView image, int multiple) {
  if (multiple < 1) fail<ConfigError>("cannot crop to a multiple of {}", multiple);
  Image result(image.height / multiple * multiple, image.width / multiple * multiple, image.channels);
  for (int y = 0; y < result.height; ++y) std::copy_n(image.row(y), result.view().row_bytes(), result.row(y));
  return result;
}

Image bicubic_reduce(ImageView image, int scale, Border border) {
  check_scale(scale);
  if (image.height < scale || image.width < scale)
    fail<DataError>("a picture of {} x {} pixels is too small to be reduced by {}", image.width, image.height, scale);
  const Image cropped = crop_to_multiple(image, scale);
  const Image rows = vertical_pass(cropped, reduction_axis(cropped.height, scale), border);
  return horizontal_pass(rows, reduction_axis(cropped.width, scale), border);
}

Image bicubic_enlarge(ImageView image, int scale, Border border) {
  check_scale(scale);
  if (image.height < 1 || image.width < 1) fail<DataError>("an empty picture cannot be enlarged");
  const Image rows = vertical_pass(image, enlargement_axis(image.height, scale), border);
  return horizontal_pass(rows, enlargement_axis(image.width, scale), border);
}

}  // namespace gridstep
