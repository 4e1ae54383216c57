#include "data/labelled.h"

#include <algorithm>
#include <array>

#include "data/framed_file.h"
#include "data/labelled_photos.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

struct Kind {
  std::string_view name;
  LabelledImages (*load)(const LabelledOptions& options);
  PhotoListing (*list)(const LabelledOptions& options);  // where the images are photos
};

constexpr std::array kKinds{
    Kind{"cifar10", load_cifar10, nullptr},
    Kind{"food101", nullptr, list_food101},
    Kind{"image_folder", nullptr, list_labelled_folder},
    Kind{"synthetic", load_gratings, nullptr},
    Kind{"tsinghua_dogs", nullptr, list_tsinghua_dogs},
};

const Kind& find_kind(const LabelledOptions& options) {
  if (options.split != "train" && options.split != "val")
    fail<ConfigError>("no split named '{}'; there are train and val", options.split);
  for (const Kind& kind : kKinds)
    if (kind.name == options.name) return kind;
  const std::vector<std::string> names = labelled_dataset_names();
  fail<ConfigError>("no labelled data set named '{}'{}; there are: {}", options.name, did_you_mean(options.name, names),
                    join(names));
}

std::string digest_of(const LabelledImages& images) {
  if (!images.pack_digest.empty()) return images.pack_digest;
  Hasher hasher;
  hasher.add_number(static_cast<std::uint64_t>(images.side));
  for (const std::string& name : images.class_names) hasher.add_text(name);
  for (const std::int32_t label : images.labels) hasher.add_number(static_cast<std::uint64_t>(label));
  hasher.add(images.data(), images.bytes());
  return hex(hasher.digest());
}

}  // namespace

LabelledDataset::LabelledDataset(LabelledImages images) : images_(std::move(images)), digest_(digest_of(images_)) {}

void LabelledDataset::require_unchanged() {
  if (images_.mapped != nullptr) gridstep::require_unchanged(images_.watch, images_.pack.bytes(), images_.pack_digest);
}

ImageView LabelledDataset::image(std::int64_t i) const {
  const std::size_t bytes = static_cast<std::size_t>(side()) * static_cast<std::size_t>(side()) * 3;
  return {side(), side(), 3, images_.data() + static_cast<std::size_t>(i) * bytes};
}

std::string LabelledDataset::description() const {
  const std::string left_out = skipped().empty() ? "" : fmt::format(", {} left out", skipped().size());
  return fmt::format("{}: {} images of {}x{} pixels in {} classes{}", images_.layout, count(), side(), side(),
                     classes(), left_out);
}

double LabelledDataset::majority_rate() const {
  std::vector<std::int64_t> counts(images_.class_names.size());
  for (const std::int32_t label : images_.labels) ++counts[static_cast<std::size_t>(label)];
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) / static_cast<double>(count());
}

LabelledDataset open_labelled_dataset(const LabelledOptions& options) {
  const Kind& kind = find_kind(options);
  return LabelledDataset(kind.load != nullptr ? kind.load(options) : load_photos(kind.list(options), options));
}

PhotoListing list_labelled_photos(const LabelledOptions& options) {
  const Kind& kind = find_kind(options);
  if (kind.list == nullptr) {
    fail<ConfigError>("data set {} does not consist of photos; those that do: {}", options.name,
                      join(photo_dataset_names()));
  }
  return kind.list(options);
}

std::vector<std::string> photo_dataset_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds)
    if (kind.list != nullptr) names.emplace_back(kind.name);
  return names;
}

std::vector<std::string> labelled_dataset_names() {
  std::vector<std::string> names;
  names.reserve(kKinds.size());
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

}  // namespace gridstep
