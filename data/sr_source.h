// Where the photos of a super-resolution data set come from, before they are packed. A new data set is one file with an
// `open_<name>` function, and a line in data/registry.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "data/dataset.h"
#include "engine/base/hash.h"

namespace gridstep {

struct SrPair {
  Image lr;
  Image hr;  // scale times lr
  bool official_lr = false;
  std::string note;  // something to tell the user, though the pair can be used
};

class SrSource {
 public:
  virtual ~SrSource() = default;

  virtual std::string layout() const = 0;  // for people: "official DIV2K layout"
  // Where it lies: packs of the same place replace one another when its content changes. Not written into packs.
  virtual std::string place() const = 0;
  virtual std::size_t size() const = 0;
  virtual std::string name(std::size_t i) const = 0;
  virtual std::int64_t pixels(std::size_t i) const = 0;  // of HR by its header, 0 when that cannot be read
  // Adds everything picture i depends on and that can be had without decoding: sizes and times of files, seeds.
  virtual void identify(std::size_t i, Hasher& hasher) const = 0;
  // Thread-safe. Throws DataError with the fault only (no path: faults are kept in packs) when i cannot be used.
  virtual SrPair load(std::size_t i) const = 0;
};

struct SrDatasetKind {
  std::string_view name;
  std::unique_ptr<SrSource> (*open)(const SrDataOptions& options);  // throws DataError when there is no data
};

std::span<const SrDatasetKind> sr_dataset_kinds();

// HR cropped to a multiple of the scale with its reduction; throws DataError when it is smaller than the scale.
SrPair make_pair(ImageView hr, const SrDataOptions& options);

std::unique_ptr<SrSource> open_div2k(const SrDataOptions& options);
std::unique_ptr<SrSource> open_image_folder(const SrDataOptions& options);
std::unique_ptr<SrSource> open_synthetic(const SrDataOptions& options);

}  // namespace gridstep
