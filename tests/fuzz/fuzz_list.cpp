// Lists of files: alone, and as the lists of every data set that has some.
#include <algorithm>

#include "data/labelled_photos.h"
#include "data/list_file.h"
#include "engine/base/error.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

bool leads_out(const fs::path& path) {
  return path.is_absolute() || std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

void check_lines(std::string_view content) {
  std::size_t last = 0;
  for (const ListLine& line : parse_list(content, "list.txt")) {
    require(line.number > last, "lines are numbered");
    require(!line.text.empty() && line.text.find('\0') == std::string::npos && !leads_out(line.text),
            "a list does not lead out of its folder");
    last = line.number;
  }
}

void check_listing(const char* dataset, const char* split) {
  const fs::path root = scratch() / dataset;
  accepts<DataError>([&] {
    const PhotoListing listing = list_labelled_photos({.name = dataset, .root = root, .split = split});
    const auto classes = static_cast<std::int32_t>(listing.class_names.size());
    for (const LabelledPhoto& photo : listing.photos) {
      require(photo.label >= 0 && photo.label < classes, "a label is one of the classes");
      require(!leads_out(photo.path.lexically_relative(root)), "photos lie below the data set's folder");
    }
  });
}

void make_folders() {
  static const bool made = [] {
    for (const char* folder : {"food101/images", "food101/meta", "tsinghua_dogs/low-resolution",
                               "tsinghua_dogs/TrainAndValList", "image_folder"})
      fs::create_directories(scratch() / folder);
    put("tsinghua_dogs/TrainAndValList/validation.lst", "1043-n000001-Shiba_Dog/n100001.jpeg\n");
    return true;
  }();
  require(made, "folders can be made");
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(list) {
  using namespace gridstep;
  using namespace gridstep::fuzz;
  const std::string_view content = text_of(input);
  accepts<DataError>([&] { check_lines(content); });
  make_folders();
  put("tsinghua_dogs/TrainAndValList/train.lst", content);
  check_listing("tsinghua_dogs", "train");
  // Two lists: what stands before the first blank line, and what stands behind it.
  const std::size_t blank = content.find("\n\n");
  const std::string_view first = content.substr(0, blank);
  const std::string_view second = blank == content.npos ? first : content.substr(blank + 2);
  put("food101/meta/classes.txt", first);
  put("food101/meta/train.txt", second);
  check_listing("food101", "train");
  put("image_folder/train.txt", first);
  put("image_folder/val.txt", second);
  check_listing("image_folder", "val");
}
