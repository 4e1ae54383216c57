// CIFAR-10's binary files.
#include <algorithm>

#include "data/labelled.h"
#include "engine/base/error.h"
#include "tests/fuzz/target.h"

namespace gridstep::fuzz {
namespace {

constexpr std::size_t kRecord = 3073;

void check(const LabelledDataset& data, Input file, int limit) {
  const auto records = static_cast<std::int64_t>(file.size() / kRecord);
  require(data.count() == (limit == 0 ? records : std::min<std::int64_t>(records, limit)), "every record is an image");
  for (std::int64_t i = 0; i < data.count(); ++i) {
    const Input record = file.subspan(static_cast<std::size_t>(i) * kRecord, kRecord);
    const auto at = [&](std::size_t k) { return std::to_integer<std::uint8_t>(record[k]); };
    require(data.labels()[static_cast<std::size_t>(i)] == at(0), "labels are those of the records");
    const std::uint8_t* last = data.image(i).row(31) + 31 * 3;
    require(last[0] == at(1024) && last[1] == at(2048) && last[2] == at(3072), "pixels are those of the records");
  }
  require(data.majority_rate() > 0 && data.majority_rate() <= 1, "the majority is a share");
}

}  // namespace
}  // namespace gridstep::fuzz

GS_FUZZ_TARGET(cifar10) {
  using namespace gridstep;
  using namespace gridstep::fuzz;
  put("test_batch.bin", text_of(input));
  for (const int limit : {0, 1}) {
    accepts<DataError>([&] {
      check(open_labelled_dataset({.name = "cifar10", .root = scratch(), .split = "val", .limit = limit}), input,
            limit);
    });
  }
}
