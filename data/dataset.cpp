#include "data/dataset.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/batches.h"
#include "data/pack.h"
#include "data/pack_cache.h"
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
    require_enough(n, meta.skipped, {options.split, options.root});
    writer.finish(meta);
  });
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

void SrDataset::require_unchanged() { pack_->require_unchanged(); }

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
  const fs::path folder = pack_folder(options.cache_dir);
  const std::string prefix = pack_prefix(*source, options);
  const fs::path path = folder / (prefix + source_key(*source, options) + ".pack");

  const auto open = [](const fs::path& p) { return std::make_unique<Pack>(p); };
  std::unique_ptr<Pack> pack = open_existing_pack(path, open).value_or(nullptr);
  if (!pack) {
    make_pack_folder(folder);
    build_pack(*source, options, path);
    remove_outdated_packs(path, prefix);
    pack = open(path);
  }
  warn_of_skipped(fmt::format("{} {}", options.name, options.split), pack->meta().skipped, pack->photos().size());
  return SrDataset(path, std::move(pack));
}

}  // namespace gridstep
