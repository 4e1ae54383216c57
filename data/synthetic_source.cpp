// Generated photos as a data set.
#include "data/sr_source.h"
#include "data/synthetic.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

class SyntheticSource final : public SrSource {
 public:
  explicit SyntheticSource(const SrDataOptions& options) : options_(options) {}

  std::string layout() const override { return "generated dead leaves"; }
  std::string place() const override {
    return fmt::format("{} {} {}", options_.synthetic_images, options_.synthetic_size, options_.synthetic_seed);
  }
  std::size_t size() const override { return static_cast<std::size_t>(options_.synthetic_images); }
  std::string name(std::size_t i) const override { return fmt::format("synthetic-{:06}", id(i)); }
  std::int64_t pixels(std::size_t) const override {
    return static_cast<std::int64_t>(options_.synthetic_size) * options_.synthetic_size;
  }
  void identify(std::size_t i, Hasher& hasher) const override {
    hasher.add_number(kSyntheticVersion);
    hasher.add_number(options_.synthetic_seed);
    hasher.add_number(static_cast<std::uint64_t>(options_.synthetic_size));
    hasher.add_number(id(i));
  }
  SrPair load(std::size_t i) const override {
    return make_pair(dead_leaves(options_.synthetic_size, options_.synthetic_size, options_.synthetic_seed, id(i)),
                     options_);
  }

 private:
  bool is_train() const { return options_.split == "train"; }
  std::uint32_t id(std::size_t i) const {
    return (is_train() ? 0 : kSyntheticValFirstId) + static_cast<std::uint32_t>(i);
  }

  SrDataOptions options_;
};

}  // namespace

std::unique_ptr<SrSource> open_synthetic(const SrDataOptions& options) {
  constexpr int kMaxImages = 1 << 20;
  if (options.synthetic_images < 1 || options.synthetic_images > kMaxImages)
    fail<ConfigError>("{} synthetic pictures: must be 1 to {}", options.synthetic_images, kMaxImages);
  if (options.synthetic_size < options.scale)
    fail<ConfigError>("synthetic pictures of {} pixels are too small for scale {}", options.synthetic_size,
                      options.scale);
  return std::make_unique<SyntheticSource>(options);
}

}  // namespace gridstep
