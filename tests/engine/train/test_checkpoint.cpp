// What a checkpoint's metadata must say, whoever wrote it and with the right checksum.
#include "engine/train/checkpoint.h"

#include "engine/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using Catch::Matchers::Contains;

namespace {

std::map<std::string, std::string> progress() {
  return {{"format", "gridstep-checkpoint-2"},
          {"step", "7"},
          {"first_fault", "18446744073709551615"},
          {"inexact", "0"},
          {"clipped", "1"},
          {"clippable", "2"},
          {"loss_sum", "0x1.8p+1"},
          {"loss_count", "3"}};
}

}  // namespace

TEST_CASE("the progress in a checkpoint is read whole", "[train]") {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "a", {}, progress());
  const CheckpointState state = read_state(SafetensorsFile(folder / "a"));
  CHECK(state.step == 7);
  CHECK(state.status.first_fault == ~std::uint64_t{0});
  CHECK(state.status.loss_sum == 3.0);
}

TEST_CASE("numbers in a checkpoint that cannot be are refused", "[train]") {
  using namespace std::string_literals;
  const test::TemporaryFolder folder;
  const auto check_refused = [&](const char* key, const std::string& text) {
    auto metadata = progress();
    metadata[key] = text;
    write_safetensors(folder / "a", {}, metadata);
    INFO(key << " = " << text);
    CHECK_THROWS_WITH(read_state(SafetensorsFile(folder / "a")), Contains(key) && Contains("not a number"));
  };
  for (const char* key : {"step", "clipped"}) {
    for (const std::string& text : {""s, "-1"s, "x"s, "1x"s, " 1"s, "1.0"s, "1\0"s, "18446744073709551616"s})
      check_refused(key, text);
  }
  check_refused("step", "9223372036854775808");
  for (const std::string& text : {""s, "x"s, "1x"s, "1\0"s}) check_refused("loss_sum", text);
  auto metadata = progress();
  metadata.erase("step");
  write_safetensors(folder / "a", {}, metadata);
  CHECK_THROWS_WITH(read_state(SafetensorsFile(folder / "a")), Contains("'step'"));
}
