// Super-resolution photos that lie in files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sr_source.h"

namespace gridstep {

struct PhotoFile {
  std::string name;  // below the folder of the split
  fs::path hr;
  fs::path lr;  // the official reduction; empty when there is none
};

enum class Search : std::uint8_t { kFlat, kRecursive };

// Files that look like images, in byte order of their names; hidden files and folders are passed over.
// Throws DataError when the folder cannot be read.
std::vector<PhotoFile> list_photos(const fs::path& folder, Search search);

// Pixels of a photo by its header; 0 for one that will be refused: unreadable, or of more than max_pixels.
std::int64_t claimed_pixels(const fs::path& photo, std::int64_t max_pixels);

std::unique_ptr<SrSource> make_file_source(std::string layout, std::vector<PhotoFile> files,
                                           const SrDataOptions& options);

// ROOT/train and ROOT/val: the source for options.split, or null when ROOT has no folder of that name with images in
// it.
std::unique_ptr<SrSource> open_split_folders(const SrDataOptions& options);

// False as well for what cannot be looked at.
bool is_folder(const fs::path& path);

// What a folder is taken for where no data set is named: DIV2K by its folders' names, photos of one's own
// (image_folder) where train/, val/ or photos lie, and DIV2K again, whose error says where to get it, where nothing
// does.
std::string photo_data_set(const fs::path& root);

// What lies in a folder, for messages: "12 images, 1 other file; folders: a, b". Never throws.
std::string describe_folder(const fs::path& folder);

// Where photos were looked for, for messages: " in 'ROOT'", or that no folder was given.
std::string in_folder(const fs::path& root);

// "\n  hint      did you mean ROOT/DIV2K?" when a folder one level down has one of these folders in it, else empty.
std::string hint_one_level_down(const fs::path& root, const std::vector<std::string>& wanted);

}  // namespace gridstep
