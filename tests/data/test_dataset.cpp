#include "data/dataset.h"

#include <algorithm>

#include "data/batches.h"
#include "data/codecs/encode.h"
#include "data/synthetic.h"
#include "engine/base/error.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

SrDataOptions options_for(const TemporaryFolder& folder, const std::string& name, const std::string& split) {
  SrDataOptions options;
  options.name = name;
  options.root = folder / "data";
  options.split = split;
  options.cache_dir = folder / "cache";
  return options;
}

Image photo(int id, int height = 20, int width = 26) {
  return dead_leaves(height, width, 5, static_cast<std::uint32_t>(id));
}

void put(const fs::path& path, ImageView image) {
  fs::create_directories(path.parent_path());
  write_png(path, image);
}

std::vector<std::string> names_of(const SrDataset& dataset) {
  std::vector<std::string> names;
  for (const SrPhoto& p : dataset.photos()) names.push_back(p.name);
  return names;
}

std::size_t packs_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST_CASE("folders train and val", "[data]") {
  const TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) put(folder / fmt::format("data/train/p{}.png", i), photo(i));
  put(folder / "data/train/deeper/q.png", photo(3));
  put(folder / "data/train/.hidden/r.png", photo(4));
  write_bytes(folder / "data/train/notes.txt", "not a picture");
  put(folder / "data/val/v.png", photo(9));
  const std::string name = GENERATE("div2k", "image_folder");
  const SrDataset train = open_sr_dataset(options_for(folder, name, "train"));
  CHECK(names_of(train) == std::vector<std::string>{"deeper/q.png", "p0.png", "p1.png", "p2.png"});
  CHECK(train.skipped().empty());
  CHECK(train.scale() == 3);
  const Image hr = crop_to_multiple(photo(0), 3);
  CHECK(copy_of(train.photos()[1].hr) == hr);
  CHECK(copy_of(train.photos()[1].lr) == bicubic_reduce(hr, 3));
  CHECK(names_of(open_sr_dataset(options_for(folder, name, "val"))) == std::vector<std::string>{"v.png"});
}

TEST_CASE("official DIV2K layout with and without official reductions", "[data]") {
  const TemporaryFolder folder;
  const Image marked = noise_image(6, 8, 3);  // unlike any reduction, so that its origin shows
  for (const int i : {1, 2, 3, 4}) put(folder / fmt::format("data/DIV2K_train_HR/{:04}.png", i), photo(i));
  put(folder / "data/DIV2K_train_LR_bicubic/X3/0001x3.png", marked);
  put(folder / "data/DIV2K_train_LR_bicubic/X3/0002x3.png", noise_image(6, 7, 3));  // wrong size
  write_bytes(folder / "data/DIV2K_train_LR_bicubic/X3/0003x3.png", "damaged");
  put(folder / "data/DIV2K_valid_HR/0801.png", photo(801));
  const SrDataset train = open_sr_dataset(options_for(folder, "div2k", "train"));
  REQUIRE(train.photos().size() == 4);
  CHECK(copy_of(train.photos()[0].lr) == marked);
  for (std::size_t i = 1; i < 4; ++i)
    CHECK(copy_of(train.photos()[i].lr) == bicubic_reduce(copy_of(train.photos()[i].hr), 3));
  CHECK_THAT(train.description(), Catch::Contains("official DIV2K layout") && Catch::Contains("official LR for 1, 3"));
  CHECK(names_of(open_sr_dataset(options_for(folder, "div2k", "val"))) == std::vector<std::string>{"0801.png"});
}

TEST_CASE("a flat folder is split by its names", "[data]") {
  const TemporaryFolder folder;
  const int n = GENERATE(2, 25);
  for (int i = 0; i < n; ++i) put(folder / fmt::format("data/p{}.png", i), photo(i % 3, 9, 9));
  const auto train = names_of(open_sr_dataset(options_for(folder, "image_folder", "train")));
  const auto val = names_of(open_sr_dataset(options_for(folder, "image_folder", "val")));
  CHECK(val.size() == static_cast<std::size_t>(std::max(1, n / 10)));
  std::vector<std::string> all = train;
  all.insert(all.end(), val.begin(), val.end());
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
  CHECK(all.size() == static_cast<std::size_t>(n));
}

TEST_CASE("synthetic data needs no files and is the generator's", "[data]") {
  const TemporaryFolder folder;
  SrDataOptions options = options_for(folder, "synthetic", "train");
  options.synthetic_images = 6;
  options.synthetic_size = 48;
  options.synthetic_seed = 9;
  options.scale = 2;
  const SrDataset train = open_sr_dataset(options);
  REQUIRE(train.photos().size() == 6);
  CHECK(copy_of(train.photos()[4].hr) == dead_leaves(48, 48, 9, 4));
  options.split = "val";
  options.synthetic_images = 2;
  const SrDataset val = open_sr_dataset(options);
  REQUIRE(val.photos().size() == 2);
  CHECK(copy_of(val.photos()[1].hr) == dead_leaves(48, 48, 9, kSyntheticValFirstId + 1));
}

TEST_CASE("files that cannot be used are skipped with their reason", "[data]") {
  const TemporaryFolder folder;
  for (int i = 0; i < 18; ++i) put(folder / fmt::format("data/train/p{:02}.png", i), photo(0, 9, 9));
  write_bytes(folder / "data/train/broken.png", "nothing");
  put(folder / "data/train/tiny.png", noise_image(2, 40, 3));
  const SrDataOptions options = options_for(folder, "div2k", "train");
  const SrDataset dataset = open_sr_dataset(options);
  CHECK(dataset.photos().size() == 18);
  REQUIRE(dataset.skipped().size() == 2);
  CHECK(dataset.skipped()[0].name == "broken.png");
  CHECK(dataset.skipped()[0].reason == "neither PNG nor JPEG");
  CHECK(dataset.skipped()[1] == SkippedFile{"tiny.png", "40 x 2 pixels, too small for scale 3"});
  CHECK(open_sr_dataset(options).skipped() == dataset.skipped());  // from the pack
  write_bytes(folder / "data/train/broken2.png", "nothing");
  CHECK_THROWS_WITH(open_sr_dataset(options), Catch::Contains("18 of the 21") && Catch::Contains("broken2.png"));
}

TEST_CASE("a damaged pack is built again", "[data]") {
  const TemporaryFolder folder;
  for (const int i : {0, 1}) put(folder / fmt::format("data/val/{}.png", i), photo(i));
  const SrDataOptions options = options_for(folder, "image_folder", "val");
  const SrDataset first = open_sr_dataset(options);
  std::string bytes = read_file(first.pack_path());
  bytes[200] = static_cast<char>(bytes[200] ^ 1);
  write_file_atomic(first.pack_path(), bytes);
  const SrDataset again = open_sr_dataset(options);
  CHECK(again.digest() == first.digest());
  CHECK(again.pack_path() == first.pack_path());
  CHECK(read_file(again.pack_path()) != bytes);
}

TEST_CASE("a pack follows its sources", "[data]") {
  const TemporaryFolder folder;
  for (const int i : {0, 1}) put(folder / fmt::format("data/val/{}.png", i), photo(i));
  const SrDataOptions options = options_for(folder, "image_folder", "val");
  const std::string digest = open_sr_dataset(options).digest();
  const auto written = fs::last_write_time(open_sr_dataset(options).pack_path());
  CHECK(fs::last_write_time(open_sr_dataset(options).pack_path()) == written);

  const fs::path changed = folder / "data/val/1.png";
  const auto time = fs::last_write_time(changed);
  put(changed, photo(7));
  fs::last_write_time(changed, time + std::chrono::seconds(2));
  CHECK(open_sr_dataset(options).digest() != digest);
  CHECK(packs_in(options.cache_dir) == 1);  // the outdated one is gone

  put(changed, photo(1));
  fs::last_write_time(changed, time + std::chrono::seconds(4));
  CHECK(open_sr_dataset(options).digest() == digest);  // equal pictures, other times
}

TEST_CASE("options make packs of their own", "[data]") {
  const TemporaryFolder folder;
  for (int i = 0; i < 4; ++i) put(folder / fmt::format("data/train/{}.png", i), photo(i));
  SrDataOptions options = options_for(folder, "div2k", "train");
  const std::string all = open_sr_dataset(options).digest();
  options.border = Border::kReplicate;
  CHECK(open_sr_dataset(options).digest() != all);
  options.border = Border::kMirror;
  options.limit = 3;
  CHECK(names_of(open_sr_dataset(options)) == std::vector<std::string>{"0.png", "1.png", "2.png"});
  options.limit = 100;
  CHECK(open_sr_dataset(options).photos().size() == 4);
  options.limit = 0;
  options.scale = 4;
  CHECK(open_sr_dataset(options).photos()[0].lr.height == 5);
  CHECK(packs_in(options.cache_dir) == 5);
}

TEST_CASE("no data: the message says what was expected and found, and where to get it", "[data]") {
  const TemporaryFolder folder;
  put(folder / "data/DIV2K/DIV2K_train_HR/0001.png", photo(1));
  put(folder / "data/stray.png", photo(1));
  const SrDataOptions options = options_for(folder, "div2k", "train");
  CHECK_THROWS_AS(open_sr_dataset(options), DataError);
  CHECK_THROWS_WITH(open_sr_dataset(options),
                    Catch::Contains("DIV2K_train_HR/0001.png") &&
                        Catch::Contains("1 image, 0 other files; folders: DIV2K") &&
                        Catch::Contains("did you mean " + (folder / "data/DIV2K").string()) &&
                        Catch::Contains("http://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip") &&
                        Catch::Contains("bdc2d9338d4e574fe81bf7d158758658") && Catch::Contains("unzip"));
  CHECK_THROWS_WITH(open_sr_dataset(options_for(folder, "image_folder", "val")),
                    Catch::Contains("at least two photos"));
  SrDataOptions nowhere = options;
  nowhere.root = folder / "nowhere";
  CHECK_THROWS_WITH(open_sr_dataset(nowhere), Catch::Contains("no such folder"));
}

TEST_CASE("bad data options are refused", "[data]") {
  const TemporaryFolder folder;
  SrDataOptions options = options_for(folder, "div2K", "train");
  CHECK_THROWS_WITH(open_sr_dataset(options), Catch::Contains("did you mean 'div2k'?"));
  CHECK_THROWS_AS(open_sr_dataset(options_for(folder, "synthetic", "test")), ConfigError);
  options = options_for(folder, "synthetic", "train");
  options.scale = 5;
  CHECK_THROWS_AS(open_sr_dataset(options), ConfigError);
  options.scale = 3;
  options.limit = -1;
  CHECK_THROWS_AS(open_sr_dataset(options), ConfigError);
  options.limit = 0;
  options.synthetic_images = 0;
  CHECK_THROWS_AS(open_sr_dataset(options), ConfigError);
}

TEST_CASE("every registered data set opens", "[data]") {
  const TemporaryFolder folder;
  for (const int i : {0, 1, 2}) {
    put(folder / fmt::format("data/train/{}.png", i), photo(i));
    put(folder / fmt::format("data/val/{}.png", i), photo(i + 10));
  }
  for (const std::string& name : sr_dataset_names()) {
    for (const char* split : {"train", "val"}) {
      const SrDataset dataset = open_sr_dataset(options_for(folder, name, split));
      CHECK_FALSE(dataset.photos().empty());
      CHECK(dataset.digest().size() == 32);
      CHECK_THAT(dataset.description(), Catch::Contains(name) && Catch::Contains(split));
    }
  }
}

TEST_CASE("batches run everything once and hand it over in order", "[data]") {
  std::vector<std::int64_t> pixels(500, 1000);
  pixels[7] = 3 * kBatchPixels;
  pixels[300] = kBatchPixels;
  std::vector<int> worked(pixels.size(), 0);
  std::vector<std::size_t> taken;
  run_in_batches(
      pixels, [&](std::size_t i) { ++worked[i]; },
      [&](std::size_t i) {
        CHECK(worked[i] == 1);
        taken.push_back(i);
      });
  REQUIRE(taken.size() == pixels.size());
  CHECK(std::is_sorted(taken.begin(), taken.end()));
  const auto failing = [](std::size_t i) {
    if (i == 3 || i == 5) throw std::runtime_error(std::to_string(i));
  };
  CHECK_THROWS_WITH(run_in_batches(pixels, failing, [](std::size_t) {}), "3");
}

}  // namespace
}  // namespace gridstep::test
