#include "data/labelled_photos.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/batches.h"
#include "data/codecs/decode.h"
#include "data/labelled_pack.h"
#include "data/pack_cache.h"
#include "data/photo_files.h"
#include "data/resize.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"

namespace gridstep {
namespace {

// Part of every pack's key: raised whenever decoding or resampling changes a bit of its result.
constexpr std::uint64_t kPipelineVersion = 1;

// N photos spread evenly, so that a part of a listing sorted by class has all of them.
void keep_evenly(std::vector<LabelledPhoto>& photos, int limit) {
  const auto n = static_cast<std::size_t>(limit);
  if (limit == 0 || n >= photos.size()) return;
  for (std::size_t i = 0; i < n; ++i) photos[i] = photos[i * photos.size() / n];
  photos.resize(n);
}

std::string pack_prefix(const LabelledOptions& options) {
  const std::string limit = options.limit == 0 ? "" : fmt::format("-{}images", options.limit);
  return fmt::format("{}-{}-{}px{}-{:08x}-", options.name, options.split, options.size, limit,
                     hash64(canonical_place(options.root)) >> 32);
}

std::string source_key(const PhotoListing& listing, const LabelledOptions& options) {
  Hasher hasher;
  for (const std::uint64_t n : {std::uint64_t{kLabelledPackVersion}, kPipelineVersion,
                                static_cast<std::uint64_t>(options.max_pixels), std::uint64_t{listing.photos.size()}})
    hasher.add_number(n);
  hasher.add_text(listing.layout);
  for (const std::string& name : listing.class_names) hasher.add_text(name);
  for (const LabelledPhoto& photo : listing.photos) {
    hasher.add_text(photo.name);
    hasher.add_number(static_cast<std::uint64_t>(photo.label));
    add_file_state(photo.path, hasher);
  }
  return hex(hasher.digest()).substr(0, 16);
}

void build_pack(const PhotoListing& listing, const LabelledOptions& options, const fs::path& path) {
  const std::size_t n = listing.photos.size();
  log_info("{}: preparing {} {} photos at {} pixels ({})", options.name, n, options.split, options.size,
           listing.layout);
  std::vector<std::int64_t> pixels;
  for (const LabelledPhoto& photo : listing.photos) pixels.push_back(claimed_pixels(photo.path, options.max_pixels));
  LabelledImages meta;
  meta.side = options.size;
  meta.layout = listing.layout;
  meta.class_names = listing.class_names;
  std::vector<std::optional<Image>> images(n);
  std::vector<std::string> faults(n);
  const auto load = [&](std::size_t i) {
    try {
      const MappedFile file = map_source_file(listing.photos[i].path);
      images[i] = resize_to_square(decode_image_bytes(file.bytes(), {options.max_pixels, 3}), options.size);
    } catch (const DataError& e) {
      faults[i] = e.what();
    }
  };
  write_file_atomic(path, [&](const Sink& sink) {
    LabelledPackWriter writer(sink);
    run_in_batches(pixels, load, [&](std::size_t i) {
      log_progress(fmt::format("{}: {} of {} {} photos", options.name, i + 1, n, options.split), i + 1 == n);
      if (images[i])
        writer.add(*images[i], listing.photos[i].label);
      else
        meta.skipped.push_back({listing.photos[i].name, faults[i]});
      images[i].reset();
    });
    require_enough(n, meta.skipped, {options.split, options.root});
    writer.finish(meta);
  });
}

}  // namespace

LabelledImages load_photos(PhotoListing listing, const LabelledOptions& asked) {
  LabelledOptions options = asked;
  if (options.size == 0) options.size = kDefaultPhotoSide;
  keep_evenly(listing.photos, options.limit);
  const fs::path folder = pack_folder(options.cache_dir);
  const std::string prefix = pack_prefix(options);
  const fs::path path = folder / (prefix + source_key(listing, options) + ".pack");
  std::optional<LabelledImages> images = open_existing_pack(path, read_labelled_pack);
  if (!images) {
    make_pack_folder(folder);
    build_pack(listing, options, path);
    remove_outdated_packs(path, prefix);
    images = read_labelled_pack(path);
  }
  warn_of_skipped(fmt::format("{} {}", options.name, options.split), images->skipped, images->labels.size());
  return std::move(*images);
}

}  // namespace gridstep
