// DIV2K (Agustsson, Timofte, CVPR workshops 2017) as its archives unpack, or any folder with train and val.
#include <array>
#include <string_view>
#include <utility>

#include "data/photo_files.h"
#include "engine/base/error.h"

namespace gridstep {
namespace {

constexpr std::string_view kBaseAddress = "http://data.vision.ee.ethz.ch/cvl/DIV2K/";

struct Archive {
  std::string_view name;
  std::string_view md5;
};
constexpr Archive kTrainHr{"DIV2K_train_HR.zip", "bdc2d9338d4e574fe81bf7d158758658"};
constexpr Archive kValidHr{"DIV2K_valid_HR.zip", "9fcdda83005c5e5997799b69f955ff88"};
constexpr std::array<Archive, 3> kTrainLr{{{"DIV2K_train_LR_bicubic_X2.zip", "9a637d2ef4db0d0a81182be37fb00692"},
                                           {"DIV2K_train_LR_bicubic_X3.zip", "ad80b9fe40c049a07a8a6c51bfab3b6d"},
                                           {"DIV2K_train_LR_bicubic_X4.zip", "76c43ec4155851901ebbe8339846d93d"}}};
constexpr std::array<Archive, 3> kValidLr{{{"DIV2K_valid_LR_bicubic_X2.zip", "1512c9a3f7bde2a1a21a73044e46b9cb"},
                                           {"DIV2K_valid_LR_bicubic_X3.zip", "18b1d310f9f88c13618c287927b29898"},
                                           {"DIV2K_valid_LR_bicubic_X4.zip", "21962de700c8d368c6ff83314480eff0"}}};

std::string fetch_commands(const fs::path& root, int scale) {
  const auto lr = static_cast<std::size_t>(scale - 2);
  std::string lines = fmt::format(
      "  the official archives (3.5 GB and 0.4 GB of HR; the two of LR may be left out), with their md5:\n"
      "    mkdir -p '{0}' && cd '{0}'\n",
      root.string());
  for (const Archive& archive : {kTrainHr, kValidHr, kTrainLr[lr], kValidLr[lr]})
    lines += fmt::format("    curl -fLO -C - {0}{1} && echo '{2}  {1}' | md5sum -c && unzip -q {1}\n", kBaseAddress,
                         archive.name, archive.md5);
  lines.pop_back();
  return lines;
}

[[noreturn]] void fail_no_data(const SrDataOptions& options) {
  const bool train = options.split == "train";
  fail<DataError>(
      "no {} photos for data set div2k{}\n"
      "  expected  {}/{}\n"
      "            {}_LR_bicubic/X{}/{}x{}.png ... (optional; reduced from HR when absent)\n"
      "       or   {}/ with any PNG or JPEG photos (train/ and val/; photos in one folder: --dataset image_folder)\n"
      "  found     {}{}\n{}",
      options.split, in_folder(options.root), train ? "DIV2K_train_HR" : "DIV2K_valid_HR",
      train ? "0001.png ... 0800.png" : "0801.png ... 0900.png", train ? "DIV2K_train" : "DIV2K_valid", options.scale,
      train ? "0001" : "0801", options.scale, options.split, describe_folder(options.root),
      hint_one_level_down(options.root, {"DIV2K_train_HR", "DIV2K_valid_HR", options.split}),
      fetch_commands(options.root.empty() ? fs::path("DIV2K") : options.root, options.scale));
}

}  // namespace

std::unique_ptr<SrSource> open_div2k(const SrDataOptions& options) {
  const std::string part = options.split == "train" ? "DIV2K_train" : "DIV2K_valid";
  const fs::path hr_folder = options.root / (part + "_HR");
  if (is_folder(hr_folder)) {
    std::vector<PhotoFile> files = list_photos(hr_folder, Search::kFlat);
    const fs::path lr_folder = options.root / (part + "_LR_bicubic") / fmt::format("X{}", options.scale);
    for (PhotoFile& file : files) {
      fs::path lr = lr_folder / fmt::format("{}x{}.png", file.hr.stem().string(), options.scale);
      std::error_code error;
      if (fs::exists(lr, error)) file.lr = std::move(lr);
    }
    if (!files.empty()) return make_file_source("official DIV2K layout", std::move(files), options);
  }
  if (auto source = open_split_folders(options)) return source;
  fail_no_data(options);
}

}  // namespace gridstep
