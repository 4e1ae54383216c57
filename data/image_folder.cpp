// Any folder of photos: with train and val in it, or flat.
#include <algorithm>
#include <utility>

#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

// The photos of one split of a flat folder. A photo's side depends on the names only: those whose names hash highest, a
// tenth and at least one, are val.
std::vector<PhotoFile> split_flat(std::vector<PhotoFile> files, const std::string& split) {
  const std::size_t n_val = std::max<std::size_t>(1, files.size() / 10);
  std::vector<std::pair<std::uint64_t, std::string>> order;
  order.reserve(files.size());
  for (const PhotoFile& file : files) order.emplace_back(hash64(file.name), file.name);
  std::sort(order.begin(), order.end());
  const auto first_val = order[files.size() - n_val];
  std::erase_if(files, [&](const PhotoFile& file) {
    const bool val = std::pair(hash64(file.name), file.name) >= first_val;
    return val != (split == "val");
  });
  return files;
}

}  // namespace

std::unique_ptr<SrSource> open_image_folder(const SrDataOptions& options) {
  if (auto source = open_split_folders(options)) return source;
  const bool has_splits = is_folder(options.root / "train") || is_folder(options.root / "val");
  if (!has_splits && is_folder(options.root)) {
    std::vector<PhotoFile> files = list_photos(options.root, Search::kFlat);
    if (files.size() >= 2)
      return make_file_source("one folder, a tenth of it kept for val", split_flat(std::move(files), options.split),
                              options);
  }
  fail<DataError>(
      "no {} photos for data set image_folder{}\n"
      "  expected  train/ and val/ with PNG or JPEG photos, or at least two photos in the folder itself\n"
      "  found     {}{}",
      options.split, in_folder(options.root), describe_folder(options.root),
      hint_one_level_down(options.root, {"train", "val"}));
}

}  // namespace gridstep
