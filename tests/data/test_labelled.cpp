// Labelled data sets: CIFAR-10's records and what can be wrong with its files; generated gratings.
#include "data/labelled.h"

#include <algorithm>

#include "engine/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;

namespace {

constexpr std::size_t kRecord = 3073;

// Record i: label i % 10, red i, green i + 1, blue from the position.
std::string records(int first, int count) {
  std::string bytes;
  for (int i = first; i < first + count; ++i) {
    bytes += static_cast<char>(i % 10);
    bytes += std::string(1024, static_cast<char>(i)) + std::string(1024, static_cast<char>(i + 1));
    for (int p = 0; p < 1024; ++p) bytes += static_cast<char>(p % 251);
  }
  return bytes;
}

void write_cifar(const fs::path& folder) {
  fs::create_directories(folder);
  for (int b = 0; b < 5; ++b) write_file_atomic(folder / fmt::format("data_batch_{}.bin", b + 1), records(b * 3, 3));
  write_file_atomic(folder / "test_batch.bin", records(50, 4));
}

LabelledDataset open(const fs::path& root, const std::string& split, int limit = 0) {
  return open_labelled_dataset({.name = "cifar10", .root = root, .split = split, .limit = limit});
}

}  // namespace

TEST_CASE("CIFAR-10 records become interleaved images in file order", "[data]") {
  const TemporaryFolder folder;
  write_cifar(folder.path() / "cifar-10-batches-bin");
  for (const fs::path& root : {folder.path(), folder.path() / "cifar-10-batches-bin"}) {
    const LabelledDataset train = open(root, "train"), val = open(root, "val");
    REQUIRE(train.count() == 15);
    CHECK(val.count() == 4);
    CHECK(train.side() == 32);
    CHECK(train.classes() == 10);
    CHECK(train.class_names()[9] == "truck");
    for (int i = 0; i < 15; ++i) {
      CHECK(train.labels()[static_cast<std::size_t>(i)] == i % 10);
      const ImageView image = train.image(i);
      CHECK(image.row(0)[0] == i);
      CHECK(image.row(31)[31 * 3 + 1] == i + 1);
      CHECK(image.row(7)[9 * 3 + 2] == (7 * 32 + 9) % 251);
    }
    CHECK(train.majority_rate() == Approx(2.0 / 15));
    CHECK(open(root, "train", 4).count() == 4);
    CHECK(open(root, "train", 4).digest() != train.digest());
    CHECK(open(root, "train").digest() == train.digest());
  }
}

TEST_CASE("CIFAR-10 files that are missing, cut or foreign are named", "[data]") {
  using Catch::Matchers::Contains;
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(open(folder.path(), "train"),
                    Contains("data_batch_1.bin") && Contains("cifar-10-binary.tar.gz") && Contains("md5"));
  write_cifar(folder.path());
  fs::remove(folder.path() / "data_batch_4.bin");
  CHECK_THROWS_WITH(open(folder.path(), "train"), Contains("data_batch_4.bin"));
  CHECK(open(folder.path(), "val").count() == 4);
  write_file_atomic(folder.path() / "test_batch.bin", records(0, 2).substr(0, 2 * kRecord - 1));
  CHECK_THROWS_WITH(open(folder.path(), "val"), Contains("test_batch.bin") && Contains("6145"));
  write_file_atomic(folder.path() / "test_batch.bin", "");
  CHECK_THROWS_AS(open(folder.path(), "val"), DataError);
  std::string foreign = records(0, 3);
  foreign[kRecord] = 10;
  write_file_atomic(folder.path() / "test_batch.bin", foreign);
  CHECK_THROWS_WITH(open(folder.path(), "val"), Contains("record 1") && Contains("label 10"));
}

TEST_CASE("options of labelled data sets are checked", "[data]") {
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(open_labelled_dataset({.name = "cifar"}), Contains("did you mean 'cifar10'"));
  CHECK_THROWS_AS(open_labelled_dataset({.name = "synthetic", .split = "test"}), ConfigError);
  CHECK_THROWS_AS(open_labelled_dataset({.name = "synthetic", .size = 64}), ConfigError);
  CHECK_THROWS_AS(open_labelled_dataset({.name = "synthetic", .synthetic_images = 9}), ConfigError);
  CHECK_THROWS_AS(open_labelled_dataset({.name = "cifar10", .size = 64}), ConfigError);
}

TEST_CASE("gratings are balanced, of the seed, and apart in the two splits", "[data]") {
  const LabelledOptions options{.name = "synthetic", .synthetic_images = 40};
  const LabelledDataset train = open_labelled_dataset(options);
  REQUIRE(train.count() == 40);
  CHECK(train.majority_rate() == Approx(0.1));
  CHECK(train.digest() == open_labelled_dataset(options).digest());
  LabelledOptions other = options;
  other.synthetic_seed = 1;
  CHECK(open_labelled_dataset(other).digest() != train.digest());
  other = options;
  other.split = "val";
  const LabelledDataset val = open_labelled_dataset(other);
  CHECK(val.digest() != train.digest());
  CHECK(val.majority_rate() == Approx(0.1));
  // The same bits on every machine.
  CHECK(train.digest() == "8278ae41c65e36a09fce59d0e910c9d6");
}
