#include "data/synthetic.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/philox.h"

namespace gridstep {
namespace {

constexpr int kMaxSide = 4096;
constexpr int kOversampling = 2;
constexpr int kMinRadius = 18;  // fine pixels

class Draws {
 public:
  Draws(std::uint64_t seed, std::uint32_t image_id) : key_{seed, Purpose::kSynthetic, image_id} {}
  std::uint32_t bits() {
    if (next_ == 4) {
      block_ = philox(key_, index_++);
      next_ = 0;
    }
    return block_.v[next_++];
  }
  // Uniform in [lo, hi].
  int between(int lo, int hi) {
    return lo + static_cast<int>(uniform_below(bits(), static_cast<std::uint32_t>(hi - lo + 1)));
  }

 private:
  PhiloxKey key_;
  std::uint64_t index_ = 0;
  Philox4 block_{};
  int next_ = 4;
};

std::int64_t integer_sqrt(std::int64_t v) {
  std::int64_t root = 0;
  for (std::int64_t bit = std::int64_t{1} << 31; bit != 0; bit >>= 1)
    if ((root + bit) * (root + bit) <= v) root += bit;
  return root;
}

// Density r^-3 on [kMinRadius, largest]: r = smallest / sqrt(1 - U (1 - (smallest / largest)^2)).
int power_law_radius(Draws& draws, int largest) {
  constexpr std::int64_t kOne = std::int64_t{1} << 32;
  constexpr std::int64_t kSmallest2 = std::int64_t{kMinRadius} * kMinRadius;
  const std::int64_t span = 65536 - 65536 * kSmallest2 / (static_cast<std::int64_t>(largest) * largest);
  const std::int64_t rest = kOne - ((static_cast<std::int64_t>(draws.bits()) * span) >> 16);
  return static_cast<int>(std::min<std::int64_t>(integer_sqrt(kSmallest2 * kOne / rest), largest));
}

struct Colour {
  int c[3];
};

// An unnormalised direction, length^2 = x^2 + y^2, length about 24..34.
struct Direction {
  int x = 0, y = 0;
  int length2() const { return x * x + y * y; }
};

Direction random_direction(Draws& draws) {
  Direction d;
  do d = {draws.between(-32, 32), draws.between(-32, 32)};
  while (d.length2() < 24 * 24 || d.length2() > 34 * 34);
  return d;
}

// The paint of a shape at (dx, dy) from its centre: base + shading along one direction + stripes along another.
class Paint {
 public:
  Paint(Draws& draws, int radius) {
    const int luminance = draws.between(16, 239);
    for (int& c : base_.c) c = std::clamp(luminance + draws.between(-30, 30), 0, 255);
    shading_ = random_direction(draws);
    shading_gain_ = draws.between(0, 48) * 256 / radius;  // levels over the radius, in 1/256
    if (draws.between(0, 2) == 0) {
      stripes_ = random_direction(draws);
      amplitude_ = draws.between(12, 56);
      const int period = draws.between(6, 28);  // fine pixels
      frequency_ = static_cast<int>((std::int64_t{1} << 24) /
                                    (static_cast<std::int64_t>(period) * integer_sqrt(stripes_.length2())));
      phase_ = draws.between(0, (1 << 24) - 1);
    }
  }

  Colour at(int dx, int dy) const {
    // Directions are about 2^5 long: 13 bits take away their length and the gain's 1/256.
    int delta = (shading_.x * dx + shading_.y * dy) * shading_gain_ / (1 << 13);
    if (amplitude_ != 0) {
      const std::int64_t turns = (std::int64_t{stripes_.x} * dx + std::int64_t{stripes_.y} * dy) * frequency_ + phase_;
      const int position = static_cast<int>((turns >> 12) & 4095);  // of 4096 to the period
      const int triangle = std::abs(position - 2048) - 1024;        // -1024..1024
      // A clipped triangle: between a wave and a bar, with edges a few fine pixels wide.
      delta += std::clamp(triangle * 2, -1024, 1024) * amplitude_ / 1024;
    }
    Colour colour = base_;
    for (int& c : colour.c) c = std::clamp(c + delta, 0, 255);
    return colour;
  }

 private:
  Colour base_{};
  Direction shading_, stripes_;
  int shading_gain_ = 0, amplitude_ = 0, frequency_ = 0, phase_ = 0;
};

// Half axes along and across a direction.
struct Leaf {
  int x = 0, y = 0;
  bool rectangle = false;
  Direction axis;
  int along = 0, across = 0;

  bool covers(int dx, int dy) const {
    const std::int64_t u = axis.x * dx + axis.y * dy, v = axis.x * dy - axis.y * dx;
    const std::int64_t a2 = static_cast<std::int64_t>(along) * along, b2 = static_cast<std::int64_t>(across) * across;
    const std::int64_t n2 = axis.length2();
    if (rectangle) return u * u <= a2 * n2 && v * v <= b2 * n2;
    // Sums stay below 2^53: |u|, |v| < 2^18 and along, across < 2^12.
    return u * u / n2 * b2 + v * v / n2 * a2 <= a2 * b2;
  }
  int reach() const { return rectangle ? along + across : std::max(along, across); }
};

Leaf random_leaf(Draws& draws, int height, int width, int largest) {
  Leaf leaf;
  const int radius = power_law_radius(draws, largest);
  const int margin = std::min(radius, largest / 2);
  leaf.x = draws.between(-margin, width - 1 + margin);
  leaf.y = draws.between(-margin, height - 1 + margin);
  leaf.rectangle = draws.between(0, 2) == 0;
  leaf.axis = random_direction(draws);
  leaf.along = radius;
  const bool round = draws.between(0, 2) == 0;
  leaf.across = std::max(2, round ? radius : radius * draws.between(20, 100) / 100);
  return leaf;
}

// The pictures seen from above: the first leaf drawn lies on top, and later ones show only where nothing lies yet.
class Canvas {
 public:
  Canvas(int height, int width)
      : colours_(height, width, 3),
        free_(static_cast<std::size_t>(height) * static_cast<std::size_t>(width), 1),
        left_(static_cast<std::int64_t>(free_.size())) {}

  std::int64_t left() const { return left_; }

  void lay(const Leaf& leaf, const Paint& paint) {
    const int reach = leaf.reach();
    const int y0 = std::max(0, leaf.y - reach), y1 = std::min(colours_.height - 1, leaf.y + reach);
    const int x0 = std::max(0, leaf.x - reach), x1 = std::min(colours_.width - 1, leaf.x + reach);
    for (int y = y0; y <= y1; ++y) {
      for (int x = x0; x <= x1; ++x) {
        if (is_free(y, x) && leaf.covers(x - leaf.x, y - leaf.y)) put(y, x, paint.at(x - leaf.x, y - leaf.y));
      }
    }
  }

  void fill(const Paint& paint) {
    for (int y = 0; y < colours_.height; ++y)
      for (int x = 0; x < colours_.width; ++x)
        if (is_free(y, x)) put(y, x, paint.at(x - colours_.width / 2, y - colours_.height / 2));
  }

  Image averaged() const {
    Image result(colours_.height / kOversampling, colours_.width / kOversampling, 3);
    for (int y = 0; y < result.height; ++y) {
      for (int i = 0; i < result.width * 3; ++i) {
        const int at = i / 3 * 3 * kOversampling + i % 3;
        const std::uint8_t* upper = colours_.view().row(kOversampling * y) + at;
        const std::uint8_t* lower = colours_.view().row(kOversampling * y + 1) + at;
        result.row(y)[i] = static_cast<std::uint8_t>((upper[0] + upper[3] + lower[0] + lower[3] + 2) / 4);
      }
    }
    return result;
  }

 private:
  std::size_t index(int y, int x) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(colours_.width) + static_cast<std::size_t>(x);
  }
  bool is_free(int y, int x) const { return free_[index(y, x)] != 0; }
  void put(int y, int x, const Colour& colour) {
    for (int c = 0; c < 3; ++c) colours_.row(y)[3 * x + c] = static_cast<std::uint8_t>(colour.c[c]);
    free_[index(y, x)] = 0;
    --left_;
  }

  Image colours_;
  std::vector<std::uint8_t> free_;
  std::int64_t left_;
};

}  // namespace

Image dead_leaves(int height, int width, std::uint64_t seed, std::uint32_t image_id) {
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide)
    fail<ConfigError>("synthetic pictures have sides of 1 to {} pixels, not {} x {}", kMaxSide, width, height);
  const int fine_height = kOversampling * height, fine_width = kOversampling * width;
  Draws draws(seed, image_id);
  Canvas canvas(fine_height, fine_width);
  const int largest = std::max(2 * kMinRadius, std::min(fine_height, fine_width) / 3);
  const std::int64_t nearly_covered = static_cast<std::int64_t>(fine_height) * fine_width / 500;
  while (canvas.left() > nearly_covered) {
    const Leaf leaf = random_leaf(draws, fine_height, fine_width, largest);
    canvas.lay(leaf, Paint(draws, leaf.along));
  }
  canvas.fill(Paint(draws, largest));  // the last specks, each of which would cost many hidden leaves
  return canvas.averaged();
}

int synthetic_val_images(int train_images) { return std::max(2, train_images / 5); }

}  // namespace gridstep
