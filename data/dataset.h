// Super-resolution data sets: pairs of a photo and its bicubic reduction, decoded once into a mapped pack.
//
//   div2k         ROOT/DIV2K_train_HR/0001.png ..., ROOT/DIV2K_valid_HR/..., and where present the official reductions
//                 ROOT/DIV2K_{train,valid}_LR_bicubic/X{2,3,4}/0001x{2,3,4}.png; or ROOT/train and ROOT/val (PNG, JPEG)
//   image_folder  ROOT/train and ROOT/val, searched recursively; or photos lying in ROOT itself, of which a tenth
//                 (at least one; those whose names hash highest) is val
//   synthetic     generated dead-leaves pictures (data/synthetic.h); needs no root
// HR is cropped to a multiple of the scale; LR is the official file when it is there and has the right size, otherwise
// the reduction of data/bicubic.h. Colour is RGB. Photos are in name order. The result depends on the files and options
// only, never on threads or on whether the pack was there already.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/bicubic.h"
#include "data/image.h"
#include "data/skipped.h"
#include "engine/base/file.h"

namespace gridstep {

class Pack;

struct SrPhoto {
  std::string name;  // path below the split's folder, or "synthetic-000012"
  ImageView lr;      // (h, w, 3)
  ImageView hr;      // (scale*h, scale*w, 3)
};

struct SrDataOptions {
  std::string name = "div2k";  // one of sr_dataset_names()
  fs::path root;
  std::string split = "train";  // "train" | "val"
  int scale = 3;                // 2, 3 or 4
  Border border = Border::kMirror;
  fs::path cache_dir;         // where packs are kept; empty: default_cache_dir()
  int limit = 0;              // only the first photos in name order; 0: all
  int synthetic_images = 40;  // of the split asked for
  int synthetic_size = 192;   // side, pixels
  std::uint64_t synthetic_seed = 0;
  std::int64_t max_pixels = 100'000'000;  // a photo that claims more is skipped
};

class SrDataset {
 public:
  SrDataset(fs::path pack_path, std::unique_ptr<Pack> pack);
  SrDataset(SrDataset&&) noexcept;
  SrDataset& operator=(SrDataset&&) noexcept;
  ~SrDataset();

  const std::vector<SrPhoto>& photos() const;  // views stay valid while this object (or what it was moved to) lives
  int scale() const;
  const std::string& digest() const;  // 32 hex digits: XXH3-128 of the pack's content
  const std::vector<SkippedFile>& skipped() const;
  std::string description() const;  // one line: layout found, counts, origin of LR
  const fs::path& pack_path() const { return pack_path_; }
  void require_unchanged();  // throws DataChanged when the mapped pack is not what it was

 private:
  fs::path pack_path_;
  std::unique_ptr<Pack> pack_;
};

// Opens the pack of these options, building it first when it is missing, damaged or older than its sources.
// Throws ConfigError for bad options, DataError when there is no data (with the layout expected and where to get it) or
// when less than 90 % of the files can be used, Interrupted when a signal stops the building.
SrDataset open_sr_dataset(const SrDataOptions& options);

std::vector<std::string> sr_dataset_names();

}  // namespace gridstep
