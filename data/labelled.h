// Classification data sets: square RGB images of one size with labels.
//
//   cifar10        ROOT/cifar-10-batches-bin/data_batch_{1..5}.bin and test_batch.bin; or those files in ROOT
//   food101        ROOT/images/<class>/<id>.jpg, ROOT/meta/{classes,train,test}.txt; or the same in ROOT/food-101
//   image_folder   ROOT/{train,val}/<class>/ with photos (the layout of ImageNet); or lists ROOT/{train,val}.txt with a
//                  path and a class per line
//   synthetic      generated gratings, a direction per class (data/gratings.cpp); needs no root
//   tsinghua_dogs  ROOT/{low,high}-resolution/<count>-<id>-<breed>/, ROOT/TrainAndValList/{train,validation}.lst
// Classes are numbered in the order of their ids (dogs), of classes.txt (food), of their names (folders). Photos are
// brought to data.size (data/labelled_photos.h). The result depends on the files and options only, never on threads or
// on whether the pack was there already.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"
#include "engine/base/file_watch.h"

namespace gridstep {

struct LabelledOptions {
  std::string name = "cifar10";  // one of labelled_dataset_names()
  fs::path root = {};
  std::string split = "train";  // "train" | "val"
  int size = 0;                 // side of the images, pixels; 0: the data set's own
  int limit = 0;            // only so many images: the first of a file of records, spread evenly over photos; 0: all
  fs::path cache_dir = {};  // where packs of photos are kept; empty: default_cache_dir()
  std::int64_t max_pixels = 100'000'000;  // a photo that claims more is skipped
  int synthetic_images = 2000;            // of the split asked for
  std::uint64_t synthetic_seed = 0;
};

// What a source yields.
struct LabelledImages {
  int side = 0;
  std::vector<std::string> class_names;
  std::vector<std::int32_t> labels;  // below class_names.size(), one per image
  std::vector<std::uint8_t> pixels;  // (labels.size(), side, side, 3), unless they are mapped
  std::string layout;                // for people: "CIFAR-10, binary version"
  std::vector<SkippedFile> skipped = {};
  FileWatch watch = {};                  // of that pack
  MappedFile pack = {};                  // where the pixels lie when they are mapped
  const std::uint8_t* mapped = nullptr;  // into `pack`
  std::string pack_digest = {};          // its checksum

  const std::uint8_t* data() const { return mapped != nullptr ? mapped : pixels.data(); }
  std::size_t bytes() const {
    return labels.size() * static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3;
  }
};

class LabelledDataset {
 public:
  explicit LabelledDataset(LabelledImages images);

  int side() const { return images_.side; }
  int classes() const { return static_cast<int>(images_.class_names.size()); }
  std::int64_t count() const { return static_cast<std::int64_t>(images_.labels.size()); }
  const std::vector<std::string>& class_names() const { return images_.class_names; }
  const std::vector<std::int32_t>& labels() const { return images_.labels; }
  const std::uint8_t* pixels() const { return images_.data(); }
  const std::vector<SkippedFile>& skipped() const { return images_.skipped; }
  ImageView image(std::int64_t i) const;
  const std::string& digest() const {
    return digest_;
  }                                 // 32 hex digits: XXH3-128 of the pack, or of pixels, labels and class names
  std::string description() const;  // one line: layout, images, classes, size

  void require_unchanged();  // throws DataChanged when a mapped pack is not what it was

  // Share, 0..1, of the class that this data set has most of: what is right without looking.
  double majority_rate() const;

 private:
  LabelledImages images_;
  std::string digest_;
};

// Throws ConfigError for bad options, DataError when there is no data (with the layout expected and where to get it) or
// when a file is not what it should be.
LabelledDataset open_labelled_dataset(const LabelledOptions& options);

std::vector<std::string> labelled_dataset_names();

// Sources. A new data set is one file with a function, and a line in data/labelled.cpp: `load_<name>` for one that has
// its images at hand, `list_<name>` (data/labelled_photos.h) for one whose images are photos in files.
LabelledImages load_cifar10(const LabelledOptions& options);
LabelledImages load_gratings(const LabelledOptions& options);

}  // namespace gridstep
