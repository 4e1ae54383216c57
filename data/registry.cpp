// The super-resolution data sets a user can name.
#include <array>

#include "data/sr_source.h"

namespace gridstep {

std::span<const SrDatasetKind> sr_dataset_kinds() {
  static constexpr std::array kKinds{
      SrDatasetKind{"div2k", open_div2k},
      SrDatasetKind{"image_folder", open_image_folder},
      SrDatasetKind{"synthetic", open_synthetic},
  };
  return kKinds;
}

std::vector<std::string> sr_dataset_names() {
  std::vector<std::string> names;
  for (const SrDatasetKind& kind : sr_dataset_kinds()) names.emplace_back(kind.name);
  return names;
}

}  // namespace gridstep
