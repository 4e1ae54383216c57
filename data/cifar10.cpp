// CIFAR-10 (Krizhevsky, Learning multiple layers of features from tiny images, 2009), binary version: records of one
// label byte and 1,024 bytes each of red, green and blue, row-major, 32x32.
#include <algorithm>
#include <array>

#include "data/labelled.h"
#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr int kSide = 32;
constexpr std::size_t kPlane = std::size_t{kSide} * kSide;
constexpr std::size_t kRecord = 1 + 3 * kPlane;
constexpr std::string_view kFolder = "cifar-10-batches-bin";
const std::vector<std::string> kClasses = {"airplane", "automobile", "bird",  "cat",  "deer",
                                           "dog",      "frog",       "horse", "ship", "truck"};

std::vector<std::string> files_of(const std::string& split) {
  if (split == "val") return {"test_batch.bin"};
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"};
}

[[noreturn]] void fail_no_data(const LabelledOptions& options, const fs::path& missing) {
  const fs::path root = options.root.empty() ? fs::path("data") : options.root;
  fail<DataError>(
      "no {} images for data set cifar10{}: {} is missing\n"
      "  expected  {}/data_batch_1.bin ... data_batch_5.bin and test_batch.bin, or these files in the folder itself\n"
      "  found     {}{}\n"
      "  the official archive (170 MB), with its md5:\n"
      "    mkdir -p '{}' && cd '{}'\n"
      "    curl -fLO -C - https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz\n"
      "    echo 'c32a1d4ab5d03f1284b67883e8d87530  cifar-10-binary.tar.gz' | md5sum -c && tar xzf "
      "cifar-10-binary.tar.gz",
      options.split, in_folder(options.root), missing.string(), kFolder, describe_folder(options.root),
      hint_one_level_down(options.root, {std::string(kFolder)}), root.string(), root.string());
}

void append_record(const unsigned char* record, LabelledImages& images) {
  images.labels.push_back(record[0]);
  const unsigned char *r = record + 1, *g = r + kPlane, *b = g + kPlane;
  for (std::size_t i = 0; i < kPlane; ++i) images.pixels.insert(images.pixels.end(), {r[i], g[i], b[i]});
}

void append_file(const fs::path& path, LabelledImages& images, std::size_t limit) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.empty() || bytes.size() % kRecord != 0) {
    fail<DataError>(
        "{} is {} bytes long, not a multiple of the {} bytes of a CIFAR-10 record: it was cut short, or is "
        "not the binary version; fetch it again",
        path.string(), bytes.size(), kRecord);
  }
  const auto* record = reinterpret_cast<const unsigned char*>(bytes.data());
  for (std::size_t i = 0; i < bytes.size() / kRecord && images.labels.size() < limit; ++i, record += kRecord) {
    if (record[0] >= kClasses.size()) {
      fail<DataError>("{}: record {} has label {}, of {} classes; the file is damaged or not CIFAR-10's", path.string(),
                      i, record[0], kClasses.size());
    }
    append_record(record, images);
  }
}

}  // namespace

LabelledImages load_cifar10(const LabelledOptions& options) {
  if (options.size != 0 && options.size != kSide)
    fail<ConfigError>("data.size = {}: cifar10 has images of {} pixels", options.size, kSide);
  const fs::path below = options.root / kFolder;
  const fs::path folder = is_folder(below) ? below : options.root;
  LabelledImages images{kSide, kClasses, {}, {}, "CIFAR-10, binary version"};
  const auto limit = options.limit > 0 ? static_cast<std::size_t>(options.limit) : SIZE_MAX;
  for (const std::string& name : files_of(options.split)) {
    std::error_code error;
    if (!fs::exists(folder / name, error)) fail_no_data(options, folder / name);
    append_file(folder / name, images, limit);
  }
  return images;
}

}  // namespace gridstep
