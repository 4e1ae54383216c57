#include "data/photo_files.h"

#include <algorithm>
#include <utility>

#include "data/codecs/decode.h"
#include "data/pack_cache.h"
#include "engine/base/error.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

class FileSource final : public SrSource {
 public:
  FileSource(std::string layout, std::vector<PhotoFile> files, SrDataOptions options)
      : layout_(std::move(layout)), files_(std::move(files)), options_(std::move(options)) {}

  std::string layout() const override { return layout_; }
  std::string place() const override { return canonical_place(options_.root); }
  std::size_t size() const override { return files_.size(); }
  std::string name(std::size_t i) const override { return files_[i].name; }

  std::int64_t pixels(std::size_t i) const override { return claimed_pixels(files_[i].hr, options_.max_pixels); }

  void identify(std::size_t i, Hasher& hasher) const override {
    const PhotoFile& file = files_[i];
    hasher.add_text(file.name);
    add_file_state(file.hr, hasher);
    hasher.add_number(file.lr.empty() ? 0 : 1);
    if (!file.lr.empty()) add_file_state(file.lr, hasher);
  }

  SrPair load(std::size_t i) const override {
    const DecodeOptions decode{options_.max_pixels, 3};
    SrPair pair = make_pair(decode_image_bytes(map_source_file(files_[i].hr).bytes(), decode), options_);
    if (!files_[i].lr.empty()) use_official(files_[i].lr, decode, pair);
    return pair;
  }

 private:
  static void use_official(const fs::path& path, const DecodeOptions& decode, SrPair& pair) {
    try {
      Image lr = decode_image_bytes(map_source_file(path).bytes(), decode);
      if (lr.height == pair.lr.height && lr.width == pair.lr.width) {
        pair.lr = std::move(lr);
        pair.official_lr = true;
      } else {
        pair.note = fmt::format("{} is {} x {} pixels, not {} x {}; HR was reduced instead", path.filename().string(),
                                lr.width, lr.height, pair.lr.width, pair.lr.height);
      }
    } catch (const DataError& e) {
      pair.note = fmt::format("{}: {}; HR was reduced instead", path.filename().string(), e.what());
    }
  }

  std::string layout_;
  std::vector<PhotoFile> files_;
  SrDataOptions options_;
};

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

template <class Iterator>
void collect(Iterator entries, const fs::path& folder, std::vector<PhotoFile>& files) {
  for (auto it = begin(entries); it != end(entries); ++it) {
    std::error_code error;
    const bool folder_entry = it->is_directory(error);
    if constexpr (std::is_same_v<Iterator, fs::recursive_directory_iterator>)
      if (folder_entry && hidden(it->path())) it.disable_recursion_pending();
    if (!folder_entry && looks_like_image(it->path()))
      files.push_back({it->path().lexically_relative(folder).generic_string(), it->path(), {}});
  }
}

}  // namespace

SrPair make_pair(ImageView hr, const SrDataOptions& options) {
  const int scale = options.scale;
  if (hr.height < scale || hr.width < scale)
    fail<DataError>("{} x {} pixels, too small for scale {}", hr.width, hr.height, scale);
  SrPair pair;
  pair.hr = crop_to_multiple(hr, scale);
  pair.lr = bicubic_reduce(pair.hr, scale, options.border);
  return pair;
}

std::vector<PhotoFile> list_photos(const fs::path& folder, Search search) {
  std::vector<PhotoFile> files;
  try {
    if (search == Search::kRecursive)
      collect(fs::recursive_directory_iterator(folder), folder, files);
    else
      collect(fs::directory_iterator(folder), folder, files);
  } catch (const fs::filesystem_error& e) {
    fail<DataError>("{}: cannot be listed: {}", folder.string(), e.code().message());
  }
  std::sort(files.begin(), files.end(), [](const PhotoFile& a, const PhotoFile& b) { return a.name < b.name; });
  return files;
}

std::int64_t claimed_pixels(const fs::path& photo, std::int64_t max_pixels) {
  try {
    const std::int64_t pixels = probe_image(photo).pixels();
    return pixels <= max_pixels ? pixels : 0;
  } catch (const DataError&) {
    return 0;
  }
}

std::unique_ptr<SrSource> make_file_source(std::string layout, std::vector<PhotoFile> files,
                                           const SrDataOptions& options) {
  return std::make_unique<FileSource>(std::move(layout), std::move(files), options);
}

std::unique_ptr<SrSource> open_split_folders(const SrDataOptions& options) {
  const fs::path folder = options.root / options.split;
  if (!is_folder(folder)) return nullptr;
  std::vector<PhotoFile> files = list_photos(folder, Search::kRecursive);
  if (files.empty()) return nullptr;
  return make_file_source("folders train and val", std::move(files), options);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string photo_data_set(const fs::path& root) {
  if (is_folder(root / "DIV2K_train_HR") || is_folder(root / "DIV2K_valid_HR")) return "div2k";
  const bool own = is_folder(root / "train") || is_folder(root / "val") ||
                   (is_folder(root) && !list_photos(root, Search::kFlat).empty());
  return own ? "image_folder" : "div2k";
}

std::string describe_folder(const fs::path& folder) {
  std::error_code error;
  if (folder.empty()) return "no folder was given";
  if (!fs::exists(folder, error)) return "no such folder";
  if (!fs::is_directory(folder, error)) return "a file, not a folder";
  std::size_t images = 0, others = 0;
  std::vector<std::string> folders;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored))
      folders.push_back(it->path().filename().string());
    else
      ++(looks_like_image(it->path()) ? images : others);
  }
  if (error) return "cannot be listed: " + error.message();
  std::sort(folders.begin(), folders.end());
  constexpr std::size_t kShown = 8;
  const std::size_t more = folders.size() > kShown ? folders.size() - kShown : 0;
  folders.resize(folders.size() - more);
  return fmt::format("{} image{}, {} other file{}; folders: {}{}", images, images == 1 ? "" : "s", others,
                     others == 1 ? "" : "s", folders.empty() ? "none" : join(folders),
                     more == 0 ? "" : fmt::format(" and {} more", more));
}

std::string in_folder(const fs::path& root) {
  return root.empty() ? ", as no folder was given (--data DIR)" : fmt::format(" in '{}'", root.string());
}

std::string hint_one_level_down(const fs::path& root, const std::vector<std::string>& wanted) {
  std::error_code error;
  std::vector<std::string> matches;
  for (auto it = fs::directory_iterator(root, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const bool match = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const std::string& name) { return is_folder(it->path() / name); });
    if (match) matches.push_back(it->path().string());
  }
  if (matches.empty()) return "";
  return fmt::format("\n  hint      did you mean {}?", *std::min_element(matches.begin(), matches.end()));
}

}  // namespace gridstep
