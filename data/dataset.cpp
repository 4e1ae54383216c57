#include "data/dataset.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "data/batches.h"
#include "data/pack.h"
#include "data/sr_source.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

// Part of every pack's key: raised whenever decoding or resampling changes a bit of its result.
constexpr std::uint64_t kPipelineVersion = 1;

const SrDatasetKind& find_kind(const std::string& name) {
  for (const SrDatasetKind& kind : sr_dataset_kinds())
    if (kind.name == name) return kind;
  fail<ConfigError>("data.name: unknown data set '{}'{}; super-resolution data sets: {}", name,
                    did_you_mean(name, sr_dataset_names()), join(sr_dataset_names()));
}

void check_options(const SrDataOptions& options) {
  if (options.split != "train" && options.split != "val")
    fail<ConfigError>("split '{}': must be train or val", options.split);
  if (options.scale < 2 || options.scale > 4) fail<ConfigError>("data.scale = {}: must be 2, 3 or 4", options.scale);
  if (options.limit < 0) fail<ConfigError>("a limit of {} photos: must be positive, or 0 for all", options.limit);
}

std::size_t photo_count(const SrSource& source, const SrDataOptions& options) {
  const std::size_t n = source.size();
  return options.limit == 0 ? n : std::min(n, static_cast<std::size_t>(options.limit));
}

// What tells this place and these options from others: packs that share it differ in the state of their sources only.
std::string pack_prefix(const SrSource& source, const SrDataOptions& options) {
  const std::string limit = options.limit == 0 ? "" : fmt::format("-first{}", options.limit);
  return fmt::format("{}-{}-x{}-{}{}-{:08x}-", options.name, options.split, options.scale, border_name(options.border),
                     limit, hash64(source.place()) >> 32);
}

std::string source_key(const SrSource& source, const SrDataOptions& options) {
  Hasher hasher;
  hasher.add_number(kPackVersion);
  hasher.add_number(kPipelineVersion);
  hasher.add_number(static_cast<std::uint64_t>(options.max_pixels));
  hasher.add_text(source.layout());
  const std::size_t n = photo_count(source, options);
  hasher.add_number(n);
  for (std::size_t i = 0; i < n; ++i) source.identify(i, hasher);
  return hex(hasher.digest()).substr(0, 16);
}

void require_enough(std::size_t usable, std::size_t total, const SrDataOptions& options,
                    const std::vector<SkippedFile>& skipped) {
  if (usable * 10 >= total * 9 && usable > 0) return;
  std::string list;
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(kShown, skipped.size()); ++i)
    list += fmt::format("\n  {}: {}", skipped[i].name, skipped[i].reason);
  if (skipped.size() > kShown) list += fmt::format("\n  and {} more", skipped.size() - kShown);
  fail<DataError>(
      "only {} of the {} {} photos in '{}' can be used; at least 90 % must be\n"
      "  `gridstep data check` lists every fault; repair or remove these files:{}",
      usable, total, options.split, options.root.string(), list);
}

// Decodes and reduces all photos of the source into the pack at `path`.
void build_pack(const SrSource& source, const SrDataOptions& options, const fs::path& path) {
  const std::size_t n = photo_count(source, options);
  log_info("{}: preparing {} {} photos ({})", options.name, n, options.split, source.layout());
  std::vector<std::int64_t> pixels(n);
  for (std::size_t i = 0; i < n; ++i) pixels[i] = source.pixels(i);

  PackMeta meta{options.name, options.split, source.layout(), options.scale, options.border, options.limit, 0, {}};
  std::vector<std::optional<SrPair>> pairs(n);
  std::vector<std::string> faults(n);
  const auto load = [&](std::size_t i) {
    try {
      pairs[i] = source.load(i);
    } catch (const DataError& e) {
      faults[i] = e.what();
    }
  };
  write_file_atomic(path, [&](const Sink& sink) {
    PackWriter writer(sink);
    run_in_batches(pixels, load, [&](std::size_t i) {
      log_progress(fmt::format("{}: {} of {} {} photos", options.name, i + 1, n, options.split), i + 1 == n);
      if (!pairs[i]) {
        meta.skipped.push_back({source.name(i), faults[i]});
        return;
      }
      if (!pairs[i]->note.empty()) log_warn("{}: {}", source.name(i), pairs[i]->note);
      writer.add(source.name(i), pairs[i]->lr, pairs[i]->hr);
      meta.official_lr += pairs[i]->official_lr ? 1 : 0;
      pairs[i].reset();
    });
    require_enough(n - meta.skipped.size(), n, options, meta.skipped);
    writer.finish(meta);
  });
}

// Another process may be building the pack right now: a temporary file counts as left behind only after a while.
bool is_leftover(const fs::directory_entry& entry, const std::string& name) {
  if (name.find(".pack.tmp") == std::string::npos) return false;
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - entry.last_write_time(error);
  return !error && age > std::chrono::hours(1);
}

// Removes packs of earlier states of the same sources, and what a killed process left of one.
void remove_outdated(const fs::path& folder, const std::string& prefix, const fs::path& current) {
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    const bool pack = name.starts_with(prefix) && name.size() == current.filename().string().size() &&
                      it->path().extension() == ".pack";
    std::error_code ignored;
    const bool outdated = pack && name != current.filename().string();
    if (outdated || (name.starts_with(prefix) && is_leftover(*it, name))) fs::remove(it->path(), ignored);
  }
}

std::unique_ptr<Pack> open_existing(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  try {
    return std::make_unique<Pack>(path);
  } catch (const DataError& e) {
    log_warn("{}; building it again", e.what());
    return nullptr;
  }
}

}  // namespace

SrDataset::SrDataset(fs::path pack_path, std::unique_ptr<Pack> pack)
    : pack_path_(std::move(pack_path)), pack_(std::move(pack)) {}
SrDataset::SrDataset(SrDataset&&) noexcept = default;
SrDataset& SrDataset::operator=(SrDataset&&) noexcept = default;
SrDataset::~SrDataset() = default;

const std::vector<SrPhoto>& SrDataset::photos() const { return pack_->photos(); }
int SrDataset::scale() const { return pack_->meta().scale; }
const std::string& SrDataset::digest() const { return pack_->digest(); }
const std::vector<SkippedFile>& SrDataset::skipped() const { return pack_->meta().skipped; }

std::string SrDataset::description() const {
  const PackMeta& meta = pack_->meta();
  const std::size_t n = photos().size();
  const std::size_t reduced = n - static_cast<std::size_t>(meta.official_lr);
  const std::string origin = meta.official_lr == 0 ? fmt::format("LR reduced here, {} border", border_name(meta.border))
                             : reduced == 0
                                 ? "official LR"
                                 : fmt::format("official LR for {}, {} reduced here", meta.official_lr, reduced);
  const std::string skipped = meta.skipped.empty() ? "" : fmt::format(", {} skipped", meta.skipped.size());
  return fmt::format("{} {}: {} photos, x{} ({}; {}{})", meta.dataset, meta.split, n, meta.scale, meta.layout, origin,
                     skipped);
}

SrDataset open_sr_dataset(const SrDataOptions& options) {
  check_options(options);
  const std::unique_ptr<SrSource> source = find_kind(options.name).open(options);
  const fs::path folder = options.cache_dir.empty() ? default_cache_dir() : options.cache_dir;
  const std::string prefix = pack_prefix(*source, options);
  const fs::path path = folder / (prefix + source_key(*source, options) + ".pack");

  std::unique_ptr<Pack> pack = open_existing(path);
  if (!pack) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) fail("cannot create the folder for packs {}: {}", folder.string(), error.message());
    build_pack(*source, options, path);
    remove_outdated(folder, prefix, path);
    pack = std::make_unique<Pack>(path);
  }
  if (!pack->meta().skipped.empty()) {
    const SkippedFile& first = pack->meta().skipped.front();
    log_warn("{} {}: {} of {} files skipped (first: {}: {})", options.name, options.split, pack->meta().skipped.size(),
             pack->meta().skipped.size() + pack->photos().size(), first.name, first.reason);
  }
  return SrDataset(path, std::move(pack));
}

fs::path default_cache_dir() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return fs::path(cache) / "gridstep";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache" / "gridstep";
  return fs::temp_directory_path() / "gridstep-cache";
}

}  // namespace gridstep
