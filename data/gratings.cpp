// Generated classification images: striped textures, whose direction is the class.
//
// An image is a triangular wave along one of ten directions 18 degrees apart, with a period of 4 to 9 pixels, random
// phase, two random colours, and uniform noise. Colour and brightness say nothing of the class; single pixels neither.
// Integer arithmetic only, and Philox keyed by (seed, Purpose::kSynthetic, image): the same bits on every machine.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "data/labelled.h"
#include "data/synthetic.h"
#include "engine/base/error.h"
#include "engine/base/philox.h"

namespace gridstep {
namespace {

constexpr int kSide = 32;
constexpr int kClasses = 10;
constexpr int kMaxImages = 1 << 20;
constexpr int kNoise = 64;  // largest deviation, in levels of 255

struct Direction {
  int x, y;  // unit vector times 1024
};
constexpr std::array<Direction, kClasses> kDirections{{{1024, 0},
                                                       {974, 316},
                                                       {828, 602},
                                                       {602, 828},
                                                       {316, 974},
                                                       {0, 1024},
                                                       {-316, 974},
                                                       {-602, 828},
                                                       {-828, 602},
                                                       {-974, 316}}};

int between(std::uint32_t word, int low, int high) {
  return low + static_cast<int>(uniform_below(word, static_cast<std::uint32_t>(high - low + 1)));
}

// 0 at the ends of a period, 256 in its middle.
int triangle(int position, int period) {
  const int t = ((position % period) + period) % period;
  return 256 - std::abs(2 * t - period) * 256 / period;
}

void draw_grating(std::uint64_t seed, std::uint32_t image, std::uint8_t* out) {
  const PhiloxKey key{seed, Purpose::kSynthetic, image};
  const Philox4 shape = philox(key, 0), colour = philox(key, 1), contrast = philox(key, 2);
  const Direction direction = kDirections[image % kClasses];
  const int period = between(shape.v[0], 4 * 1024, 9 * 1024), phase = between(shape.v[1], 0, period - 1);
  int base[3], swing[3];  // a channel may fall where another rises
  for (int c = 0; c < 3; ++c) {
    base[c] = between(colour.v[c], 80, 144);
    swing[c] = between(contrast.v[c], 32, 80) * ((shape.v[2] >> c & 1u) != 0 ? -1 : 1);
  }
  std::uint64_t index = 3;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x, out += 3) {
      const int wave = triangle(x * direction.x + y * direction.y + phase, period);
      const Philox4 noise = philox(key, index++);
      for (int c = 0; c < 3; ++c) {
        const int level = base[c] + swing[c] * wave / 256 + between(noise.v[c], -kNoise, kNoise);
        out[c] = static_cast<std::uint8_t>(std::clamp(level, 0, 255));
      }
    }
  }
}

}  // namespace

LabelledImages load_gratings(const LabelledOptions& options) {
  // Every class is trained; what measures may lack some.
  const bool train = options.split == "train";
  const int fewest = train ? kClasses : 1;
  if (options.synthetic_images < fewest || options.synthetic_images > kMaxImages) {
    fail<ConfigError>("data.{} = {}: expected {} to {}{}", train ? "synthetic_images" : "synthetic_val_images",
                      options.synthetic_images, fewest, kMaxImages, train ? ", one per class or more" : "");
  }
  if (options.size != 0 && options.size != kSide)
    fail<ConfigError>("data.size = {}: synthetic images for classification have {} pixels", options.size, kSide);
  LabelledImages images{kSide, {}, {}, {}, "generated gratings"};
  for (int k = 0; k < kClasses; ++k) images.class_names.push_back(fmt::format("{} degrees", 18 * k));
  const int count = options.limit > 0 ? std::min(options.limit, options.synthetic_images) : options.synthetic_images;
  constexpr std::size_t kBytes = std::size_t{kSide} * kSide * 3;
  images.pixels.resize(static_cast<std::size_t>(count) * kBytes);
  const std::uint32_t first = train ? 0 : kSyntheticValFirstId;
  for (int i = 0; i < count; ++i) {
    const std::uint32_t id = first + static_cast<std::uint32_t>(i);
    images.labels.push_back(static_cast<std::int32_t>(id % kClasses));
    draw_grating(options.synthetic_seed, id, images.pixels.data() + static_cast<std::size_t>(i) * kBytes);
  }
  return images;
}

}  // namespace gridstep
