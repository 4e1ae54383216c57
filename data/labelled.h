// Classification data sets: square RGB images of one size with labels.
//
//   cifar10    ROOT/cifar-10-batches-bin/data_batch_{1..5}.bin, test_batch.bin, batches.meta.txt; or those files in
//   ROOT synthetic  generated gratings, a direction per class (data/gratings.cpp); needs no root
// The result depends on the files and options only, never on threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace gridstep {

struct LabelledOptions {
  std::string name = "cifar10";  // one of labelled_dataset_names()
  fs::path root = {};
  std::string split = "train";  // "train" | "val"
  int size = 0;                 // side of the images, pixels; 0: the data set's own
  int limit = 0;                // only the first images; 0: all
  int synthetic_images = 2000;  // of the split asked for
  std::uint64_t synthetic_seed = 0;
};

// What a source yields.
struct LabelledImages {
  int side = 0;
  std::vector<std::string> class_names;
  std::vector<std::int32_t> labels;  // below class_names.size(), one per image
  std::vector<std::uint8_t> pixels;  // (labels.size(), side, side, 3)
  std::string layout;                // for people: "CIFAR-10, binary version"
};

class LabelledDataset {
 public:
  explicit LabelledDataset(LabelledImages images);

  int side() const { return images_.side; }
  int classes() const { return static_cast<int>(images_.class_names.size()); }
  std::int64_t count() const { return static_cast<std::int64_t>(images_.labels.size()); }
  const std::vector<std::string>& class_names() const { return images_.class_names; }
  const std::vector<std::int32_t>& labels() const { return images_.labels; }
  const std::uint8_t* pixels() const { return images_.pixels.data(); }
  ImageView image(std::int64_t i) const;
  const std::string& digest() const { return digest_; }  // 32 hex digits: XXH3-128 of pixels, labels and class names
  std::string description() const;                       // one line: layout, images, classes, size

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

// Sources. A new data set is one file with a `load_<name>` function, and a line in data/labelled.cpp.
LabelledImages load_cifar10(const LabelledOptions& options);
LabelledImages load_gratings(const LabelledOptions& options);

}  // namespace gridstep
