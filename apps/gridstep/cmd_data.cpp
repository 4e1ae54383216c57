// gridstep data: pictures and data sets.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/gridstep/commands.h"
#include "apps/gridstep/picture_output.h"
#include "data/bicubic.h"
#include "data/check.h"
#include "data/codecs/decode.h"
#include "data/codecs/encode.h"
#include "data/dataset.h"
#include "data/labelled_photos.h"
#include "data/pack_cache.h"
#include "data/photo_files.h"
#include "data/synthetic.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

void add_border(CLI::App& command, std::string& border) {
  command.add_option("--border", border, "what lies outside a picture: mirror (as DIV2K) or replicate")
      ->check(CLI::IsMember({"mirror", "replicate"}))
      ->capture_default_str();
}

void add_scale(CLI::App& command, int& scale) {
  command.add_option("--scale", scale, "factor: 2, 3 or 4")->check(CLI::IsMember({2, 3, 4}))->capture_default_str();
}

void add_max_pixels(CLI::App& command, std::int64_t& max_pixels) {
  command.add_option("--max-pixels", max_pixels, "refuse pictures that claim more pixels")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

struct ReduceArgs {
  std::string in, out;
  int scale = 3;
  std::string border = "mirror";
  std::int64_t max_pixels = kDefaultMaxPixels;
};

void run_reduce(const ReduceArgs& args) {
  require_png_output(args.in, args.out);
  if (probe_image(args.in).alpha) log_warn("{}: has an alpha channel; composited over white", printable(args.in));
  const Image hr = decode_image(args.in, {args.max_pixels, 0});
  try {
    const Image lr = bicubic_reduce(hr, args.scale, parse_border(args.border));
    write_png(args.out, lr);
    fmt::print("{}: {} x {} -> {}: {} x {}\n", printable(args.in), hr.width, hr.height, printable(args.out), lr.width,
               lr.height);
  } catch (const DataError& e) {
    fail<DataError>("{}: {}", printable(args.in), e.what());
  }
}

void add_reduce(CLI::App& data) {
  auto args = std::make_shared<ReduceArgs>();
  CLI::App* command = data.add_subcommand("reduce", "Reduce a picture as MATLAB's bicubic imresize does (PNG out)");
  command->add_option("input", args->in, "PNG or JPEG picture")->required();
  command->add_option("output", args->out, "PNG file to write")->required();
  add_scale(*command, args->scale);
  command->get_option("--scale")->required();
  add_border(*command, args->border);
  add_max_pixels(*command, args->max_pixels);
  command->callback([args] { run_reduce(*args); });
}

struct CheckArgs {
  std::string path;
  std::int64_t max_pixels = kDefaultMaxPixels;
};

void run_check(const CheckArgs& args) {
  const CheckReport report = check_path(args.path, args.max_pixels);
  const std::vector<CheckedFile> bad = report.bad();
  for (const CheckedFile& file : bad) fmt::print("bad  {}: {}\n", printable(file.path), file.fault);
  fmt::print("{} pictures: {} good, {} bad; {} other files passed over\n", report.files.size(),
             report.files.size() - bad.size(), bad.size(), report.passed_over);
  std::fflush(stdout);
  if (report.files.empty()) fail<DataError>("{}: no pictures found", printable(args.path));
  if (!bad.empty())
    fail<DataError>("{}: {} of {} pictures cannot be used", printable(args.path), bad.size(), report.files.size());
}

void add_check(CLI::App& data) {
  auto args = std::make_shared<CheckArgs>();
  CLI::App* command = data.add_subcommand("check", "Decode a picture, or all below a folder, and name the bad ones");
  command->add_option("path", args->path, "file or folder (after -- when it begins with a dash)")->required();
  add_max_pixels(*command, args->max_pixels);
  command->callback([args] { run_check(*args); });
}

struct SynthArgs {
  std::string folder;
  int images = 40;
  int size = 192;
  std::uint64_t seed = 0;
};

void write_synthetic(const fs::path& folder, int images, std::uint32_t first_id, const SynthArgs& args) {
  fs::create_directories(folder);
  for (int i = 0; i < images; ++i) {
    const std::uint32_t id = first_id + static_cast<std::uint32_t>(i);
    write_png(folder / fmt::format("synthetic-{:06}.png", i), dead_leaves(args.size, args.size, args.seed, id));
  }
}

void run_synth(const SynthArgs& args) {
  const fs::path root = args.folder;
  for (const fs::path& folder : {root / "train", root / "val"}) {
    if (is_folder(folder) && !fs::is_empty(folder))
      fail<ConfigError>("{} is not empty; name another folder, or remove it first", printable(folder));
  }
  const int n_val = synthetic_val_images(args.images);
  write_synthetic(root / "train", args.images, 0, args);
  write_synthetic(root / "val", n_val, kSyntheticValFirstId, args);
  fmt::print("{}: {} train and {} val pictures of {} x {}\n", printable(root), args.images, n_val, args.size,
             args.size);
}

void add_synth(CLI::App& data) {
  auto args = std::make_shared<SynthArgs>();
  CLI::App* command = data.add_subcommand("synth", "Write generated pictures to DIR/train and DIR/val");
  command->add_option("folder", args->folder, "folder to write to")->required();
  command->add_option("--images", args->images, "training pictures; a fifth as many for val")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--size", args->size, "side in pixels")->check(CLI::Range(16, 4096))->capture_default_str();
  command->add_option("--seed", args->seed, "seed of the generator")->capture_default_str();
  command->callback([args] { run_synth(*args); });
}

void add_name(CLI::App& command, std::string& name, const std::vector<std::string>& names) {
  command.add_option("--dataset", name, "data set: " + join(names))->check(CLI::IsMember(names))->capture_default_str();
}

void add_split(CLI::App& command, std::string& split) {
  command.add_option("--split", split, "train, val or both")
      ->check(CLI::IsMember({"train", "val", "both"}))
      ->capture_default_str();
}

struct PackArgs {
  std::string root;
  std::string name = "div2k";
  std::string split = "both";
  std::string border = "mirror";
  std::string out;
  int scale = 3;
  int size = 0;
  int limit = 0;
  std::int64_t max_pixels = kDefaultMaxPixels;
};

std::vector<std::string> splits_of(const std::string& split) {
  return split == "both" ? std::vector<std::string>{"train", "val"} : std::vector<std::string>{split};
}

void print_skipped(const std::vector<SkippedFile>& files) {
  for (const SkippedFile& file : files) fmt::print("  skipped {}: {}\n", printable(file.name), file.reason);
}

void run_labelled_pack(const PackArgs& args) {
  for (const std::string& split : splits_of(args.split)) {
    const LabelledDataset dataset = open_labelled_dataset({.name = args.name,
                                                           .root = args.root,
                                                           .split = split,
                                                           .size = args.size,
                                                           .limit = args.limit,
                                                           .cache_dir = args.out,
                                                           .max_pixels = args.max_pixels});
    fmt::print("{} {}: {}\n  digest {}\n", args.name, split, dataset.description(), dataset.digest());
    print_skipped(dataset.skipped());
  }
}

void run_pack(const PackArgs& args) {
  SrDataOptions options;
  options.name = args.name;
  options.root = args.root;
  options.scale = args.scale;
  options.border = parse_border(args.border);
  options.cache_dir = args.out;
  options.limit = args.limit;
  options.max_pixels = args.max_pixels;
  for (const std::string& split : splits_of(args.split)) {
    options.split = split;
    const SrDataset dataset = open_sr_dataset(options);
    fmt::print("{}\n  {}\n  {} bytes, digest {}\n", dataset.description(), printable(dataset.pack_path()),
               fs::file_size(dataset.pack_path()), dataset.digest());
    print_skipped(dataset.skipped());
  }
}

void add_pack(CLI::App& data) {
  auto args = std::make_shared<PackArgs>();
  CLI::App* command = data.add_subcommand("pack", "Decode and reduce a data set ahead of its first use");
  command->add_option("folder", args->root, "folder of the data set")->required();
  add_name(*command, args->name, {"div2k", "food101", "image_folder", "tsinghua_dogs"});
  add_split(*command, args->split);
  add_scale(*command, args->scale);
  add_border(*command, args->border);
  command
      ->add_option("--size", args->size, "pack for classification, images of this side (food101, tsinghua_dogs: 224)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--limit", args->limit, "only so many photos of each split; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--out", args->out, "folder for packs (default: " + default_cache_dir().string() + ")");
  add_max_pixels(*command, args->max_pixels);
  command->callback([args, command] {
    const bool labelled = args->size > 0 || args->name == "food101" || args->name == "tsinghua_dogs";
    if (labelled && args->name == "div2k") fail<ConfigError>("--size: data set div2k has no classes");
    if (!labelled) return run_pack(*args);
    refuse_options(*command, {"--scale", "--border"}, "on a data set for classification");
    run_labelled_pack(*args);
  });
}

struct ListArgs {
  std::string root;
  std::string name = "tsinghua_dogs";
  std::string split = "both";
};

void run_list(const ListArgs& args) {
  for (const std::string& split : splits_of(args.split)) {
    const PhotoListing listing = list_labelled_photos({.name = args.name, .root = args.root, .split = split});
    std::vector<std::int64_t> counts(listing.class_names.size());
    for (const LabelledPhoto& photo : listing.photos) ++counts[static_cast<std::size_t>(photo.label)];
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    fmt::print("{} {} ({}): {} photos in {} classes, {} to {} in a class\n", args.name, split, listing.layout,
               listing.photos.size(), counts.size(), *least, *most);
    for (std::size_t k = 0; k < counts.size(); ++k)
      fmt::print("  {:>5}  {:>7}  {}\n", k, counts[k], printable(listing.class_names[k]));
  }
}

void add_list(CLI::App& data) {
  auto args = std::make_shared<ListArgs>();
  CLI::App* command = data.add_subcommand("list", "What the lists and folders of a data set of photos say");
  command->add_option("folder", args->root, "folder of the data set")->required();
  add_name(*command, args->name, photo_dataset_names());
  add_split(*command, args->split);
  command->callback([args] { run_list(*args); });
}

}  // namespace

void add_data_commands(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Check, reduce, generate, pack and list pictures");
  data->require_subcommand(1);
  add_reduce(*data);
  add_check(*data);
  add_synth(*data);
  add_pack(*data);
  add_list(*data);
}

}  // namespace gridstep
