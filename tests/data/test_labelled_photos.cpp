// Data sets of photos with classes: the layouts of Tsinghua Dogs, Food-101 and ImageNet, packs, and what is left out.
#include "data/labelled_photos.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/codecs/encode.h"
#include "data/labelled_pack.h"
#include "data/resize.h"
#include "engine/base/error.h"
#include "tests/data/pictures.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;

namespace {

// A data set below a temporary folder, and its packs.
struct Place {
  TemporaryFolder folder;
  fs::path root = folder.path() / "data";
  fs::path cache = folder.path() / "cache";

  LabelledOptions options(const std::string& name, const std::string& split = "train") const {
    return {.name = name, .root = root, .split = split, .size = 8, .cache_dir = cache};
  }
  // A picture whose first sample tells which it is.
  void photo(const std::string& path, int seed) const {
    write_bytes(root / path, encode_png(noise_image(10 + seed % 3, 12, 3, static_cast<std::uint64_t>(seed))));
  }
  std::size_t packs() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(cache), fs::directory_iterator()));
  }
};

// Three breeds with four training photos and two for validation; ids out of order, one name with a blank.
void write_dogs(const Place& place) {
  std::string train = "\xEF\xBB\xBF", val = train;
  int seed = 0;
  for (const char* breed : {"6-n000032-Fila Braziliero", "6-n000007-Border_terrier", "6-n000040-dingo"}) {
    for (int i = 0; i < 6; ++i, ++seed) {
      const std::string name = fmt::format("{}/n{}.{}", breed, 100000 + seed, seed % 2 == 0 ? "jpg" : "jpeg");
      place.photo("low-resolution/" + name, seed);
      (i < 4 ? train : val) += ".//" + name + "\r\n";
    }
  }
  write_bytes(place.root / "TrainAndValList/train.lst", train);
  write_bytes(place.root / "TrainAndValList/validation.lst", val);
}

}  // namespace

TEST_CASE("Tsinghua Dogs are read by the official lists", "[data]") {
  const Place place;
  write_dogs(place);
  const LabelledDataset train = open_labelled_dataset(place.options("tsinghua_dogs"));
  const LabelledDataset val = open_labelled_dataset(place.options("tsinghua_dogs", "val"));
  CHECK(train.class_names() == std::vector<std::string>{"Border_terrier", "Fila Braziliero", "dingo"});  // by id
  CHECK(val.class_names() == train.class_names());
  CHECK(train.labels() == std::vector<std::int32_t>{1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2});
  CHECK(val.labels() == std::vector<std::int32_t>{1, 1, 0, 0, 2, 2});
  CHECK(train.side() == 8);
  const Image first = resize_to_square(noise_image(10, 12, 3, 0), 8);
  CHECK(std::equal(first.pixels.begin(), first.pixels.end(), train.image(0).pixels));

  LabelledOptions inside = place.options("tsinghua_dogs");
  inside.root /= "low-resolution";
  CHECK(open_labelled_dataset(inside).digest() == train.digest());
}

TEST_CASE("faults in the lists of Tsinghua Dogs are named", "[data]") {
  const Place place;
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("tsinghua_dogs")),
                    Contains("TrainAndValList") && Contains("low-resolution.zip") && Contains("md5sum"));
  write_dogs(place);
  const fs::path list = place.root / "TrainAndValList/train.lst";
  write_bytes(list, "6-n000007-Border_terrier/a.jpg\nshiba/b.jpg\n");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("tsinghua_dogs")),
                    Contains("train.lst") && Contains("line 2") && Contains("shiba/b.jpg"));
  write_bytes(list, "6-n000007-Poodle/a.jpg\n");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("tsinghua_dogs")),
                    Contains("n000007") && Contains("Poodle") && Contains("Border_terrier"));
  write_bytes(list, "");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("tsinghua_dogs")), Contains("empty"));
  fs::remove(list);
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("tsinghua_dogs")), Contains("train.lst is missing"));
}

TEST_CASE("Food-101 is read by its meta files, in the order of classes.txt", "[data]") {
  const Place place;
  for (int i = 0; i < 4; ++i)
    place.photo(fmt::format("food-101/images/{}/{}.jpg", i < 2 ? "zuppa" : "apple_pie", i), i);
  write_bytes(place.root / "food-101/meta/classes.txt", "zuppa\napple_pie\n");
  write_bytes(place.root / "food-101/meta/train.txt", "apple_pie/2\nzuppa/0\napple_pie/3");
  write_bytes(place.root / "food-101/meta/test.txt", "zuppa/1\n");
  const LabelledDataset train = open_labelled_dataset(place.options("food101"));
  CHECK(train.class_names() == std::vector<std::string>{"zuppa", "apple_pie"});
  CHECK(train.labels() == std::vector<std::int32_t>{1, 0, 1});
  CHECK(open_labelled_dataset(place.options("food101", "val")).labels() == std::vector<std::int32_t>{0});
  write_bytes(place.root / "food-101/meta/train.txt", "zuppa/0\nsoup/1\n");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("food101")), Contains("line 2") && Contains("soup/1"));
  fs::remove_all(place.root / "food-101/meta");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("food101")),
                    Contains("classes.txt") && Contains("food-101.tar.gz") && Contains("md5"));
}

TEST_CASE("folders of classes: the classes are those of training", "[data]") {
  const Place place;
  for (int i = 0; i < 6; ++i) place.photo(fmt::format("train/n0{}/deep/{}.JPEG", i % 3, i), i);
  for (int i = 0; i < 2; ++i) place.photo(fmt::format("val/n0{}/{}.png", 2 - i, i), 10 + i);
  place.photo("train/stray.png", 20);  // of no class
  const LabelledDataset train = open_labelled_dataset(place.options("image_folder"));
  const LabelledDataset val = open_labelled_dataset(place.options("image_folder", "val"));
  CHECK(train.labels() == std::vector<std::int32_t>{0, 0, 1, 1, 2, 2});
  CHECK(val.labels() == std::vector<std::int32_t>{1, 2});
  CHECK(val.classes() == 3);
  place.photo("val/unheard/0.png", 3);
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("image_folder", "val")), Contains("unheard"));
}

TEST_CASE("a list of paths and classes; classes that are numbers are sorted as numbers", "[data]") {
  const Place place;
  for (int i = 0; i < 3; ++i) place.photo(fmt::format("photos {}/{}.png", i, i), i);
  write_bytes(place.root / "train.txt", "photos 0/0.png 10\nphotos 1/1.png\t9\n");
  write_bytes(place.root / "val.txt", "photos 2/2.png 9\n");
  const LabelledDataset train = open_labelled_dataset(place.options("image_folder"));
  CHECK(train.class_names() == std::vector<std::string>{"9", "10"});
  CHECK(train.labels() == std::vector<std::int32_t>{1, 0});
  CHECK(open_labelled_dataset(place.options("image_folder", "val")).labels() == std::vector<std::int32_t>{0});
  for (const char* line : {"..\t9", "photos 0/.. 9", "photos 0/..  9"}) {
    write_bytes(place.root / "train.txt", std::string("photos 1/1.png 9\n") + line);
    CHECK_THROWS_WITH(open_labelled_dataset(place.options("image_folder")),
                      Contains("train.txt") && Contains("line 2") && Contains("not a path below"));
  }
  write_bytes(place.root / "train.txt", "photo\n");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("image_folder")), Contains("train.txt") && Contains("line 1"));
}

TEST_CASE("photos that cannot be used are left out and named, up to a tenth", "[data]") {
  const Place place;
  for (int i = 0; i < 20; ++i) place.photo(fmt::format("train/c{}/{:02}.png", i % 2, i), i);
  write_bytes(place.root / "train/c0/04.png", "not a picture");
  fs::remove(place.root / "train/c1/19.png");
  const LabelledDataset train =
      open_labelled_dataset(place.options("image_folder"));  // 18 of 19: a folder lists no gaps
  CHECK(train.count() == 18);
  REQUIRE(train.skipped().size() == 1);
  CHECK(train.skipped()[0].name == "c0/04.png");
  CHECK_THAT(train.description(), Contains(", 1 left out"));
  CHECK_THAT(train.labels(), !Catch::Matchers::VectorContains(2));
  for (int i = 0; i < 3; ++i) write_bytes(place.root / fmt::format("train/c0/{:02}.png", 2 * i), "neither");
  CHECK_THROWS_WITH(open_labelled_dataset(place.options("image_folder")),
                    Contains("only 16 of the 19 train photos") && Contains("c0/02.png"));
}

TEST_CASE("a pack is used again, rebuilt when damaged, and replaced when its photos change", "[data]") {
  const Place place;
  write_dogs(place);
  const LabelledOptions options = place.options("tsinghua_dogs");
  const std::string digest = open_labelled_dataset(options).digest();
  REQUIRE(place.packs() == 1);
  const fs::path pack = fs::directory_iterator(place.cache)->path();
  const std::string bytes = read_file(pack);
  CHECK(open_labelled_dataset(options).digest() == digest);
  for (const std::size_t at : {std::size_t{0}, std::size_t{100}, bytes.size() / 2, bytes.size() - 20}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write_bytes(pack, damaged);
    CHECK_THROWS_WITH(read_labelled_pack(pack), Contains(pack.string()) && Contains("damaged pack"));
    CHECK(open_labelled_dataset(options).digest() == digest);
    CHECK((read_file(pack) == bytes));
  }
  write_bytes(pack, bytes.substr(0, bytes.size() / 2));
  CHECK(open_labelled_dataset(options).digest() == digest);
  place.photo("low-resolution/6-n000040-dingo/n100012.jpg", 99);
  fs::last_write_time(place.root / "low-resolution/6-n000040-dingo/n100012.jpg",
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  CHECK(open_labelled_dataset(options).digest() != digest);
  CHECK(place.packs() == 1);
}

TEST_CASE("a limit takes photos of all classes", "[data]") {
  const Place place;
  write_dogs(place);
  LabelledOptions options = place.options("tsinghua_dogs");
  options.limit = 3;
  CHECK(open_labelled_dataset(options).labels() == std::vector<std::int32_t>{1, 0, 2});
  options.limit = 1000;
  CHECK(open_labelled_dataset(options).count() == 12);
  options.limit = 0;
  options.size = 0;
  CHECK(open_labelled_dataset(options).side() == kDefaultPhotoSide);
}

TEST_CASE("a line of a list may be long", "[data]") {
  const Place place;
  write_dogs(place);
  const std::string breed(2'000'000, 'a');
  write_bytes(place.root / "TrainAndValList/train.lst", "1-n000001-" + breed + "/n1.jpg\n");
  write_bytes(place.root / "TrainAndValList/validation.lst", "1-n000001-" + breed + "/n2.jpg\n");
  CHECK(list_labelled_photos(place.options("tsinghua_dogs")).class_names == std::vector<std::string>{breed});
  for (const char* line : {"n000001-a/b", "1-n00001-a/b", "1-n0000001-a/b", "1-n000001-/b", "1-n000001-a/",
                           "1-n000001-a", "1-n000001-a/b/c", "1-m000001-a/b", "1", "1-n", "1-n000001"}) {
    INFO(line);
    write_bytes(place.root / "TrainAndValList/train.lst", line);
    CHECK_THROWS_WITH(list_labelled_photos(place.options("tsinghua_dogs")), Contains("is not of the form"));
  }
}

TEST_CASE("a labelled pack whose index does not fit is refused, whatever its checksum", "[data]") {
  const TemporaryFolder folder;
  const auto pack_of = [&](const std::string& side, const std::string& labels) {
    std::string bytes;
    FramedWriter writer([&](const void* data, std::size_t n) { bytes.append(static_cast<const char*>(data), n); },
                        "GSLABEL\n", kLabelledPackVersion);
    const std::string pixels(2 * 4 * 4 * 3, '\1');
    writer.add(pixels.data(), pixels.size());
    writer.finish(nlohmann::ordered_json::parse(R"({"layout":"x","side":)" + side +
                                                R"(,"classes":["a","b"],"skipped":[],"labels":)" + labels + "}"));
    write_bytes(folder / "made.pack", bytes);
    return folder / "made.pack";
  };
  CHECK(read_labelled_pack(pack_of("4", "[0,1]")).labels == std::vector<std::int32_t>{0, 1});
  const auto refused = [&](const std::string& side, const std::string& labels, const std::string& reason) {
    CHECK_THROWS_WITH(read_labelled_pack(pack_of(side, labels)), Contains("damaged pack") && Contains(reason));
  };
  refused("4", "[]", "no images");
  refused("4", "[0,2]", "2 where a whole number from 0 to 1");
  refused("4", "[0,-1]", "-1 where");
  refused("4", "[0,4294967296]", "4294967296 where");
  refused("4", "[0,1.0]", "1.0 where");
  refused("4294967300", "[0,1]", "4294967300 where");
  refused("0", "[0,1]", "0 where");
  refused("16", "[0,1]", "outside");
}
