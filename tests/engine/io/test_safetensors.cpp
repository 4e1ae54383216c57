// safetensors: bytes as Python's library has them, round trips, and hostile files, which must end in an error that says
// why.
#include "engine/io/safetensors.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

#include "engine/base/error.h"
#include "tests/support/compare.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using namespace gridstep::test;
using Catch::Matchers::Contains;

namespace {

class File {
 public:
  fs::path path() const { return folder_ / "a.safetensors"; }

 private:
  TemporaryFolder folder_;
};

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

std::string image(const std::string& header, std::size_t data_bytes) {
  return with_length(header.size(), header + std::string(data_bytes, '\1'));
}

// Opens a file of these bytes.
SafetensorsFile open(const std::string& bytes) {
  const File file;
  std::ofstream(file.path(), std::ios::binary) << bytes;
  return SafetensorsFile(file.path());
}

void check_refused(const std::string& bytes, const std::string& reason) {
  INFO(bytes.substr(std::min<std::size_t>(8, bytes.size())));
  CHECK_THROWS_AS(open(bytes), DataError);
  CHECK_THROWS_WITH(open(bytes), Contains(reason) && Contains("a.safetensors"));
}

const std::vector<float> kFloats{1.0f, -2.5f, 0.0f, 3.0e-39f, 1.0e30f, -0.0f};
const std::vector<std::uint8_t> kBytes{0, 127, 255};

std::vector<ArrayView> sample() {
  return {{"w", DType::kF32, {2, 3}, std::as_bytes(std::span(kFloats))},
          {"q", DType::kU8, {3}, std::as_bytes(std::span(kBytes))},
          {"none", DType::kS32, {0, 4}, {}}};
}

std::string written(const std::vector<ArrayView>& arrays, const std::map<std::string, std::string>& metadata) {
  const File file;
  write_safetensors(file.path(), arrays, metadata);
  return read_file(file.path());
}

}  // namespace

TEST_CASE("a written file has the bytes of the format", "[io]") {
  // Opened by Python's safetensors 0.8 as {"w": float32 (2, 3), "q": uint8 (3,), "none": int32 (0, 4)} with this
  // metadata.
  const std::string header =
      R"({"__metadata__":{"checksum":"f4f31c0ddf5ebf105a0a3bd31b87f1f6","format":"test","step":"7"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("q":{"dtype":"U8","shape":[3],"data_offsets":[24,27]},"none":{"dtype":"I32","shape":[0,4],"data_offsets":[27,27]}})";
  std::string want = header + std::string((8 - header.size() % 8) % 8, ' ');
  want = with_length(want.size(), want);
  want.append(reinterpret_cast<const char*>(kFloats.data()), 24).append("\x00\x7f\xff", 3);
  CHECK(written(sample(), {{"step", "7"}, {"format", "test"}}) == want);
  CHECK(written(sample(), {}) == written(sample(), {}));
}

TEST_CASE("what is written is read back", "[io]") {
  const File path;
  write_safetensors(path.path(), sample(), {{"step", "7"}, {"quote", "a \"b\" \n \xc3\xa9"}});
  const SafetensorsFile file(path.path());
  REQUIRE(file.arrays().size() == 3);
  const ArrayView* w = file.find("w");
  REQUIRE(w != nullptr);
  CHECK(w->dtype == DType::kF32);
  CHECK(w->shape == std::vector<Index>{2, 3});
  REQUIRE(w->data.size() == 24);
  CHECK(std::memcmp(w->data.data(), kFloats.data(), 24) == 0);
  CHECK(std::memcmp(file.find("q")->data.data(), kBytes.data(), 3) == 0);
  CHECK(file.find("none")->data.empty());
  CHECK(file.find("nothing") == nullptr);
  CHECK(file.metadata("quote") == "a \"b\" \n \xc3\xa9");
  CHECK(file.metadata().size() == 3);  // and the checksum
  CHECK_THROWS_WITH(file.metadata("format"), Contains("'format'") && Contains("a.safetensors"));
  CHECK_THROWS_AS(file.metadata("format"), DataError);
}

TEST_CASE("every element type survives", "[io]") {
  std::vector<std::byte> data(48, std::byte{3});
  std::vector<ArrayView> arrays;
  for (const DType type : {DType::kF32, DType::kF64, DType::kU8, DType::kS8, DType::kS32, DType::kU32}) {
    arrays.push_back({std::string(name_of(type)), type, {48 / size_of(type)}, data});
  }
  const SafetensorsFile file = open(written(arrays, {}));
  REQUIRE(file.arrays().size() == 6);
  for (std::size_t i = 0; i < 6; ++i) CHECK(file.arrays()[i].dtype == arrays[i].dtype);
}

TEST_CASE("two arrays of one name are not written", "[io]") {
  auto arrays = sample();
  arrays[1].name = "w";
  CHECK_THROWS_WITH(written(arrays, {}), Contains("'w'"));
  arrays[1].name = "__metadata__";
  CHECK_THROWS_WITH(written(arrays, {}), Contains("__metadata__"));
}

TEST_CASE("arrays out of order and empty files are fine", "[io]") {
  const auto file = open(image(
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      3));
  CHECK(file.arrays().size() == 2);
  CHECK(open(image("{}", 0)).arrays().empty());
  CHECK(open(image(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )", 4)).find("a")->shape.empty());
}

TEST_CASE("a hostile header is refused with its reason", "[io]") {
  check_refused("", "shorter");
  check_refused("1234567", "shorter");
  check_refused(with_length(0, ""), "header");
  check_refused(with_length(3, "{}"), "claims 3 bytes");
  check_refused(with_length(~0ull, "{}"), "claims");
  check_refused(with_length(~0ull - 7, "{}"), "claims");
  check_refused(with_length(100'000'001, std::string(64, ' ')), "claims");
  check_refused(image("[]", 0), "not an object");
  check_refused(image("7", 0), "not an object");
  check_refused(image("{", 0), "header");
  check_refused(image("{\"a\":\xff}", 0), "header");
  check_refused(image(std::string(200000, '['), 0), "header");
  const auto entry = [](const std::string& text) { return image("{\"a\":" + text + "}", 4); };
  check_refused(entry("7"), "'a'");
  check_refused(entry("[]"), "'a'");
  check_refused(entry("{}"), "dtype");
  check_refused(entry(R"({"dtype":7,"shape":[1],"data_offsets":[0,4]})"), "'a'");
  check_refused(entry(R"({"dtype":"C64","shape":[2],"data_offsets":[0,4]})"), "C64");
  check_refused(entry(R"({"dtype":"F32","shape":{"b":1},"data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":"1","data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]})"), "'a'");
  check_refused(entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), "overflows");
  check_refused(entry(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})"), "does not fit");
  check_refused(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), "does not fit");
  check_refused(entry(R"({"dtype":"F32","shape":[1]})"), "data_offsets");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"), "data_offsets");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), "outside");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,5]})"), "outside");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})"), "data_offsets");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551616]})"),
                "data_offsets");
  check_refused(entry(R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})"), "shape");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1})"), "'more'");
  check_refused(entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,{}]})"), "data_offsets");
  std::string ones = "1";
  for (int i = 0; i < 100; ++i) ones += ",1";
  check_refused(entry(R"({"dtype":"F32","shape":[)" + ones + R"(],"data_offsets":[0,4]})"), "more than 64");
  check_refused(image(R"({"__metadata__":{"a":7}})", 0), "__metadata__");
  check_refused(image(R"({"__metadata__":{"a":["b"]}})", 0), "__metadata__");
  check_refused(image(R"({"__metadata__":[]})", 0), "__metadata__");
}

TEST_CASE("overlaps, gaps, leftovers and duplicate names are refused", "[io]") {
  const auto two = [](int a0, int a1, int b0, int b1, std::size_t bytes) {
    return image(
        fmt::format(
            R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},"b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
            a1 - a0, a0, a1, b1 - b0, b0, b1),
        bytes);
  };
  CHECK_NOTHROW(open(two(0, 4, 4, 8, 8)));
  check_refused(two(0, 5, 4, 8, 8), "overlaps");
  check_refused(two(0, 4, 0, 4, 4), "overlaps");
  check_refused(two(0, 3, 4, 8, 8), "gap");
  check_refused(two(1, 4, 4, 8, 8), "gap");
  check_refused(two(0, 4, 4, 8, 9), "left over");
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  check_refused(image("{" + a + "," + a + "}", 1), "twice");
  check_refused(image(R"({"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", 1), "twice");
  check_refused(image(R"({"__metadata__":{"k":"1","k":"2"}})", 0), "twice");
}

TEST_CASE("a file cut anywhere is an error, never a crash", "[io]") {
  const std::string whole = written(sample(), {{"step", "7"}});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    REQUIRE_THROWS_AS(open(whole.substr(0, length)), DataError);
  }
  CHECK_NOTHROW(open(whole));
}

TEST_CASE("every flipped bit is noticed", "[io]") {
  const std::string whole = written(sample(), {{"step", "7"}});
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    INFO("bit " << bit);
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    // Where the name of the entry itself is hit, the file has no checksum: no checkpoint then.
    REQUIRE_THROWS_AS(open(bytes).metadata(kChecksumKey), DataError);
  }
}

TEST_CASE("files of other programs have no checksum", "[io]") {
  CHECK_NOTHROW(open(image(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2)));
  CHECK_THROWS_WITH(
      open(image(R"({"__metadata__":{"checksum":"00"},"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2)),
      Contains("checksum") && Contains("a.safetensors"));
}

TEST_CASE("flipped bytes are survived", "[io]") {
  const std::string whole = written(sample(), {{"step", "7"}});
  std::mt19937 random(5);
  for (int i = 0; i < 800; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 1 + i % 3; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const SafetensorsFile file = open(bytes);
      for (const ArrayView& a : file.arrays()) {
        std::size_t sum = 0;
        for (const std::byte b : a.data) sum += static_cast<std::size_t>(b);  // all of it can be read
        REQUIRE(sum < bytes.size() * 256);
      }
    } catch (const DataError&) {
    }
  }
}

TEST_CASE("a header of many arrays takes time in proportion", "[io]") {
  // 200,000 arrays: searched one by one they would take minutes.
  constexpr int kArrays = 200'000;
  std::string header = "{";
  for (int i = 0; i < kArrays; ++i) {
    header +=
        fmt::format(R"({}"{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})", i == 0 ? "" : ",", i, i, i + 1);
  }
  CHECK(open(image(header + "}", kArrays)).arrays().size() == kArrays);
  header = R"({"__metadata__":{)";
  for (int i = 0; i < kArrays; ++i) header += fmt::format(R"({}"{}":"")", i == 0 ? "" : ",", i);
  CHECK(open(image(header + "}}", 0)).metadata().size() == kArrays);
}
