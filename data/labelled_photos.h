// Classification data sets whose images are photos in files: decoded and brought to one size once, into a mapped pack.
#pragma once

#include <string>
#include <vector>

#include "data/labelled.h"

namespace gridstep {

struct LabelledPhoto {
  std::string name;  // below the data set's folder
  fs::path path;
  std::int32_t label = 0;
};

struct PhotoListing {
  std::string layout;  // for people: "Tsinghua Dogs, low-resolution"
  std::vector<std::string> class_names;
  std::vector<LabelledPhoto> photos;
};

inline constexpr int kDefaultPhotoSide = 224;

// Each photo's shorter side is brought to options.size (kDefaultPhotoSide when 0), the square in the middle kept
// (data/resize.h). With a limit, that many photos spread evenly over the listing. Photos that are missing or cannot be
// decoded are left out; throws DataError when fewer than 90 % are left.
LabelledImages load_photos(PhotoListing listing, const LabelledOptions& options);

// What a data set of photos has in a split, by its lists and folders; no photo is opened. ConfigError for a data set
// that does not consist of photos.
PhotoListing list_labelled_photos(const LabelledOptions& options);

std::vector<std::string> photo_dataset_names();  // those of labelled_dataset_names() that consist of photos

PhotoListing list_food101(const LabelledOptions& options);
PhotoListing list_labelled_folder(const LabelledOptions& options);
PhotoListing list_tsinghua_dogs(const LabelledOptions& options);

}  // namespace gridstep
