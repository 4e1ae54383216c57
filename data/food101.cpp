// Food-101 (Bossard, Guillaumin, Van Gool, ECCV 2014) as its archive unpacks. The test split is val here.
#include <algorithm>
#include <map>

#include "data/labelled_photos.h"
#include "data/list_file.h"
#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

[[noreturn]] void fail_no_data(const LabelledOptions& options, const fs::path& missing) {
  const std::string root = options.root.empty() ? "data" : options.root.string();
  fail<DataError>(
      "no {} photos for data set food101{}: {} is missing\n"
      "  expected  images/<class>/<id>.jpg and meta/classes.txt, train.txt, test.txt; or these in food-101/\n"
      "  found     {}{}\n"
      "  the official archive (5.0 GB), with its md5:\n"
      "    mkdir -p '{}' && cd '{}'\n"
      "    curl -fLO -C - http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz\n"
      "    echo '85eeb15f3717b99a5da872d97d918f87  food-101.tar.gz' | md5sum -c && tar xzf food-101.tar.gz",
      options.split, in_folder(options.root), missing.string(), describe_folder(options.root),
      hint_one_level_down(options.root, {"meta"}), root, root);
}

}  // namespace

PhotoListing list_food101(const LabelledOptions& options) {
  const fs::path below = options.root / "food-101";
  const fs::path folder = is_folder(below) ? below : options.root;
  const fs::path classes = folder / "meta" / "classes.txt";
  const fs::path list = folder / "meta" / (options.split == "train" ? "train.txt" : "test.txt");
  for (const fs::path& needed : {folder / "images", classes, list}) {
    std::error_code error;
    if (!fs::exists(needed, error)) fail_no_data(options, needed);
  }
  PhotoListing listing{"Food-101", {}, {}};
  std::map<std::string, std::int32_t> labels;
  for (const ListLine& line : read_list(classes)) {
    if (!labels.emplace(line.text, static_cast<std::int32_t>(labels.size())).second)
      fail<DataError>("{}: line {}: class '{}' stands there twice", classes.string(), line.number, line.text);
    listing.class_names.push_back(line.text);
  }
  for (const ListLine& line : read_list(list)) {  // "apple_pie/1005649"
    const auto label = labels.find(line.text.substr(0, line.text.find('/')));
    if (label == labels.end())
      fail<DataError>("{}: line {}: '{}' begins with no class of classes.txt", list.string(), line.number, line.text);
    const std::string name = line.text + ".jpg";
    listing.photos.push_back({name, folder / "images" / name, label->second});
  }
  if (listing.photos.empty()) fail<DataError>("{}: the list is empty", list.string());
  return listing;
}

}  // namespace gridstep
