// Photos of any kind with classes: a folder per class, as ImageNet's are kept, or a list of paths and classes.
#include <algorithm>
#include <map>
#include <set>

#include "data/labelled_photos.h"
#include "data/list_file.h"
#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Numbers in their order, anything else in byte order.
void sort_classes(std::vector<std::string>& names) {
  const bool numbers = std::all_of(names.begin(), names.end(), is_number);
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return numbers && std::stol(a) != std::stol(b) ? std::stol(a) < std::stol(b) : a < b;
  });
}

struct Named {
  std::string class_name;
  LabelledPhoto photo;
};

std::vector<Named> in_class_folders(const fs::path& split) {
  std::vector<Named> photos;
  for (const PhotoFile& file : list_photos(split, Search::kRecursive)) {
    const std::size_t slash = file.name.find('/');
    if (slash != std::string::npos) photos.push_back({file.name.substr(0, slash), {file.name, file.hr, 0}});
  }
  return photos;
}

// "<path> <class>": the class has no blanks, the path may.
std::vector<Named> in_list(const fs::path& root, const std::string& split) {
  const fs::path file = root / (split + ".txt");
  std::vector<Named> photos;
  for (const ListLine& line : read_list(file)) {
    const std::size_t blank = line.text.find_last_of(" \t");
    const std::size_t end = blank == std::string::npos ? blank : line.text.find_last_not_of(" \t", blank);
    if (end == std::string::npos)
      fail<DataError>("{}: line {}: '{}' is not a path, a blank and a class", file.string(), line.number, line.text);
    const std::string name = line.text.substr(0, end + 1);
    require_below(name, line.number, file);
    std::error_code error;
    const fs::path below = root / split / name;
    photos.push_back({line.text.substr(blank + 1), {name, fs::exists(below, error) ? below : root / name, 0}});
  }
  return photos;
}

std::vector<Named> photos_of(const fs::path& root, const std::string& split) {
  std::error_code error;
  if (fs::exists(root / (split + ".txt"), error)) return in_list(root, split);
  if (is_folder(root / split)) return in_class_folders(root / split);
  return {};
}

}  // namespace

PhotoListing list_labelled_folder(const LabelledOptions& options) {
  std::vector<Named> photos = photos_of(options.root, options.split);
  if (photos.empty()) {
    fail<DataError>(
        "no {0} photos with classes for data set image_folder in '{1}'\n"
        "  expected  {0}/<class>/ with PNG or JPEG photos (the layout of ImageNet), or {0}.txt with a path and a class "
        "per line\n"
        "  found     {2}{3}",
        options.split, options.root.string(), describe_folder(options.root),
        hint_one_level_down(options.root, {"train", "val"}));
  }
  // The classes are those of training.
  const std::vector<Named>& training = options.split == "train" ? photos : photos_of(options.root, "train");
  std::set<std::string> known;
  for (const Named& photo : training.empty() ? photos : training) known.insert(photo.class_name);
  PhotoListing listing{"folder with classes", {known.begin(), known.end()}, {}};
  sort_classes(listing.class_names);
  std::map<std::string, std::int32_t> labels;
  for (const std::string& name : listing.class_names) labels.emplace(name, static_cast<std::int32_t>(labels.size()));
  for (Named& photo : photos) {
    const auto label = labels.find(photo.class_name);
    if (label == labels.end())
      fail<DataError>("{}: {} is of class '{}', which training has no photo of", options.root.string(),
                      photo.photo.name, photo.class_name);
    photo.photo.label = label->second;
    listing.photos.push_back(std::move(photo.photo));
  }
  return listing;
}

}  // namespace gridstep
