#include "data/pack.h"

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/framed_file.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tests/data/pictures.h"
#include "tests/support/catch.h"

namespace gridstep::test {
namespace {

struct Content {
  std::vector<std::string> names{"a.png", "name \"with\" quotes", "not utf-8 \xff"};
  std::vector<Image> lr, hr;
  PackMeta meta{"div2k", "val", "official DIV2K layout", 3, Border::kReplicate, 7, 2, {{"bad.png", "cut short"}}};

  Content() {
    for (int i = 0; i < 3; ++i) {
      lr.push_back(noise_image(2 + i, 5, 3, static_cast<std::uint64_t>(i)));
      hr.push_back(noise_image(6 + 3 * i, 15, 3, static_cast<std::uint64_t>(i) + 10));
    }
  }
  void write(const fs::path& path) const {
    write_file_atomic(path, [&](const Sink& sink) {
      PackWriter writer(sink);
      for (std::size_t i = 0; i < names.size(); ++i) writer.add(names[i], lr[i], hr[i]);
      writer.finish(meta);
    });
  }
};

TEST_CASE("a pack gives back what was written", "[data]") {
  const TemporaryFolder folder;
  const Content content;
  content.write(folder / "p.pack");
  const Pack pack(folder / "p.pack");
  REQUIRE(pack.photos().size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(copy_of(pack.photos()[i].lr) == content.lr[i]);
    CHECK(copy_of(pack.photos()[i].hr) == content.hr[i]);
    CHECK(reinterpret_cast<std::uintptr_t>(pack.photos()[i].lr.pixels) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(pack.photos()[i].hr.pixels) % 64 == 0);
  }
  CHECK(pack.photos()[1].name == content.names[1]);
  CHECK(pack.photos()[2].name.starts_with("not utf-8 "));
  CHECK(pack.meta().dataset == "div2k");
  CHECK(pack.meta().split == "val");
  CHECK(pack.meta().border == Border::kReplicate);
  CHECK(pack.meta().limit == 7);
  CHECK(pack.meta().official_lr == 2);
  CHECK(pack.meta().skipped == content.meta.skipped);
}

TEST_CASE("the digest is the content's and nothing else's", "[data]") {
  const TemporaryFolder folder;
  Content content;
  content.write(folder / "a.pack");
  content.write(folder / "b.pack");
  content.hr[1].pixels[3] ^= 1;
  content.write(folder / "c.pack");
  const std::string bytes = read_file(folder / "a.pack");
  CHECK(bytes == read_file(folder / "b.pack"));
  CHECK(Pack(folder / "a.pack").digest() == Pack(folder / "b.pack").digest());
  CHECK(Pack(folder / "a.pack").digest() != Pack(folder / "c.pack").digest());
  CHECK(Pack(folder / "a.pack").digest() == hex(hash128(bytes.data(), bytes.size() - 64)));
}

TEST_CASE("a changed bit anywhere in a pack is found", "[data]") {
  const TemporaryFolder folder;
  Content().write(folder / "p.pack");
  const std::string whole = read_file(folder / "p.pack");
  for (std::size_t at = 0; at < whole.size() - 24; at += 11) {  // the tail's last 24 bytes are padding
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file_atomic(folder / "q.pack", damaged);
    INFO(at);
    REQUIRE_THROWS_AS(Pack(folder / "q.pack"), DataError);
  }
}

// Writes into the very file, as no program of ours does. The time is set, since a clock of the system may be too coarse
// to tell the change from the file's making.
void overwrite(const fs::path& path, const std::string& bytes, int seconds) {
  const auto time = fs::last_write_time(path);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  fs::last_write_time(path, time + std::chrono::seconds(seconds));
}

TEST_CASE("a pack that changes while it is mapped is found, and one that is removed or replaced goes on", "[data]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "p.pack";
  Content().write(path);
  const std::string whole = read_file(path);
  std::string flipped = whole;
  flipped[100] = static_cast<char>(flipped[100] ^ 1);
  Pack pack(path);
  CHECK_NOTHROW(pack.require_unchanged());
  overwrite(path, whole, 1);  // another time, the same bytes
  CHECK_NOTHROW(pack.require_unchanged());
  overwrite(path, flipped, 2);
  CHECK_THROWS_AS(pack.require_unchanged(), DataChanged);
  overwrite(path, whole, 3);
  CHECK_NOTHROW(pack.require_unchanged());
  overwrite(path, whole.substr(0, whole.size() - 1), 4);
  CHECK_THROWS_WITH(pack.require_unchanged(), Catch::Matchers::Contains("p.pack was cut short"));
  overwrite(path, whole, 5);
  CHECK_NOTHROW(pack.require_unchanged());
  write_file_atomic(path, flipped);  // another file of this name
  CHECK_NOTHROW(pack.require_unchanged());
  CHECK(copy_of(pack.photos()[0].lr) == Content().lr[0]);
  fs::remove(path);
  CHECK_NOTHROW(pack.require_unchanged());
  CHECK(copy_of(pack.photos()[2].hr) == Content().hr[2]);
}

TEST_CASE("a pack cut short, empty or of another version is refused by name", "[data]") {
  const TemporaryFolder folder;
  Content().write(folder / "p.pack");
  const std::string whole = read_file(folder / "p.pack");
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_file_atomic(folder / "cut.pack", whole.substr(0, size));
    CHECK_THROWS_WITH(Pack(folder / "cut.pack"), Catch::Contains("cut.pack: damaged pack"));
  }
  std::string newer = whole;
  newer[8] = 99;
  write_file_atomic(folder / "newer.pack", newer);
  CHECK_THROWS_WITH(Pack(folder / "newer.pack"), Catch::Contains("version 99"));
}

// A pack whose checksum is right, with this index behind 192 bytes of pixels.
fs::path pack_of(const TemporaryFolder& folder, const std::string& index) {
  std::string bytes;
  FramedWriter writer([&](const void* data, std::size_t n) { bytes.append(static_cast<const char*>(data), n); },
                      std::string_view("GSPACK\r\n", 8), kPackVersion);
  const std::string pixels(192, '\1');
  writer.add(pixels.data(), pixels.size());
  writer.finish(nlohmann::ordered_json::parse(index));
  write_file_atomic(folder / "made.pack", bytes);
  return folder / "made.pack";
}

TEST_CASE("an index that does not fit its pack is refused, whatever its checksum", "[data]") {
  const TemporaryFolder folder;
  const auto index = [](const std::string& scale, const std::string& h, const std::string& offset) {
    return R"({"dataset":"d","split":"val","layout":"x","scale":)" + scale +
           R"(,"border":"mirror","limit":0,"official_lr":0,"skipped":[],"photos":[{"name":"a","lr":{"h":)" + h +
           R"(,"w":2,"c":3,"offset":64},"hr":{"h":4,"w":4,"c":3,"offset":)" + offset + "}}]}";
  };
  CHECK(Pack(pack_of(folder, index("2", "2", "128"))).photos().size() == 1);
  const auto refused = [&](const std::string& text, const std::string& reason) {
    CHECK_THROWS_WITH(Pack(pack_of(folder, text)),
                      Catch::Contains("made.pack: damaged pack: ") && Catch::Contains(reason));
  };
  refused(index("2147483647", "2", "128"), "do not fit the scale");
  refused(index("2147483649", "2", "128"), "2147483649");
  refused(index("1e300", "2", "128"), "1e+300");
  refused(index("2.0", "2", "128"), "2.0");
  refused(index("true", "2", "128"), "boolean");
  refused(index("2", "4294967298", "128"), "4294967298");
  refused(index("2", "2147483647", "128"), "outside");
  refused(index("2", "2", "18446744073709551552"), "18446744073709551552");
  refused(index("2", "2", "256"), "outside");
  refused(index("2", "2", "-64"), "-64");
  refused(R"({"dataset":"d","split":"val","layout":"x","scale":2,"border":"mirror","limit":0,"official_lr":0,)"
          R"("skipped":[],"photos":[]})",
          "no photos");
}

TEST_CASE("texts are hashed with their lengths", "[data]") {
  Hasher a, b;
  a.add_text("ab");
  a.add_text("c");
  b.add_text("a");
  b.add_text("bc");
  CHECK(a.digest() != b.digest());
}

}  // namespace
}  // namespace gridstep::test
