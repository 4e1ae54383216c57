// Tsinghua Dogs (Zou, Zhang, Mu, Zheng, Zhang, Computational Visual Media 6(4), 2020): photos in folders
// <count>-<id>-<breed>, and the official lists of the two splits. The class is the rank of the id among those of both
// lists: id - 1 where the lists are whole.
#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "data/labelled_photos.h"
#include "data/list_file.h"
#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr std::string_view kListFolder = "TrainAndValList";
constexpr std::array<std::string_view, 2> kPhotoFolders = {"low-resolution", "high-resolution"};

struct Dog {
  std::string id, breed, path;
};
struct DogLists {
  std::vector<Dog> train, val;
};

std::string found_in(const fs::path& root) {
  return describe_folder(root) + hint_one_level_down(root, {std::string(kListFolder)});
}

[[noreturn]] void fail_no_data(const LabelledOptions& options, const std::string& what) {
  const std::string root = options.root.empty() ? "ThuDogs" : options.root.string();
  fail<DataError>(
      "no {} photos for data set tsinghua_dogs{}: {}\n"
      "  expected  TrainAndValList/train.lst and validation.lst, and low-resolution/ or high-resolution/ with folders\n"
      "            such as 1043-n000001-Shiba_Dog\n"
      "  found     {}\n"
      "  the official archives (2.5 GB of photos; no checksum of them is published):\n"
      "    mkdir -p '{}' && cd '{}'\n"
      "    curl -fL -C - -o low-resolution.zip 'https://cloud.tsinghua.edu.cn/f/80013ef29c5f42728fc8/?dl=1' && unzip "
      "-q "
      "low-resolution.zip\n"
      "    curl -fLO https://cg.cs.tsinghua.edu.cn/ThuDogs/TrainValSplit.zip\n"
      "    echo '4249cd0cdd041677334b34915bdaaa7c  TrainValSplit.zip' | md5sum -c && unzip -q TrainValSplit.zip",
      options.split, in_folder(options.root), what, found_in(options.root), root, root);
}

// "1043-n000001-Shiba_Dog/n100001.jpeg": count, id, breed, photo. Not by std::regex, whose recursion grows with a line.
std::optional<Dog> parse_dog(const std::string& line) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::size_t kIdLength = 7;
  const std::size_t count = std::min(line.find_first_not_of(kDigits), line.size());
  const std::string_view rest = std::string_view(line).substr(count);
  const bool has_id =
      rest.starts_with("-n") && rest.find_first_not_of(kDigits, 2) == 1 + kIdLength && rest[1 + kIdLength] == '-';
  const std::size_t slash = rest.find('/');
  if (count == 0 || !has_id || slash == rest.npos) return std::nullopt;
  const std::string_view breed = rest.substr(2 + kIdLength, slash - 2 - kIdLength), photo = rest.substr(slash + 1);
  if (breed.empty() || photo.empty() || photo.find('/') != photo.npos) return std::nullopt;
  return Dog{std::string(rest.substr(1, kIdLength)), std::string(breed), line};
}

std::vector<Dog> read_dogs(const fs::path& file) {
  std::vector<Dog> dogs;
  for (const ListLine& line : read_list(file)) {
    std::optional<Dog> dog = parse_dog(line.text);
    if (!dog)
      fail<DataError>("{}: line {}: '{}' is not of the form <count>-<id>-<breed>/<photo>", file.string(), line.number,
                      line.text);
    dogs.push_back(std::move(*dog));
  }
  if (dogs.empty()) fail<DataError>("{}: the list is empty", file.string());
  return dogs;
}

fs::path first_folder(std::initializer_list<fs::path> candidates) {
  for (const fs::path& folder : candidates)
    if (is_folder(folder)) return folder;
  return {};
}

}  // namespace

PhotoListing list_tsinghua_dogs(const LabelledOptions& options) {
  // The root may also be the folder of one resolution.
  const fs::path lists = first_folder({options.root / kListFolder, options.root.parent_path() / kListFolder});
  if (lists.empty()) fail_no_data(options, "there is no folder TrainAndValList");
  fs::path photos = first_folder({options.root / kPhotoFolders[0], options.root / kPhotoFolders[1]});
  if (photos.empty() && !is_folder(options.root / kListFolder)) photos = options.root;
  if (photos.empty()) fail_no_data(options, "there is no folder low-resolution or high-resolution");
  for (const char* name : {"train.lst", "validation.lst"}) {
    std::error_code error;
    if (!fs::exists(lists / name, error)) fail_no_data(options, (lists / name).string() + " is missing");
  }
  const DogLists dogs{read_dogs(lists / "train.lst"), read_dogs(lists / "validation.lst")};

  std::map<std::string, std::string> breeds;
  for (const auto* list : {&dogs.train, &dogs.val}) {
    for (const Dog& dog : *list) {
      const auto [at, added] = breeds.emplace(dog.id, dog.breed);
      if (!added && at->second != dog.breed)
        fail<DataError>("the lists in {} call {} both '{}' and '{}'", lists.string(), dog.id, at->second, dog.breed);
    }
  }
  PhotoListing listing{"Tsinghua Dogs, " + photos.filename().string(), {}, {}};
  std::map<std::string, std::int32_t> labels;
  for (const auto& [id, breed] : breeds) {
    labels.emplace(id, static_cast<std::int32_t>(labels.size()));
    listing.class_names.push_back(breed);
  }
  for (const Dog& dog : options.split == "train" ? dogs.train : dogs.val)
    listing.photos.push_back({dog.path, photos / dog.path, labels.at(dog.id)});
  return listing;
}

}  // namespace gridstep
