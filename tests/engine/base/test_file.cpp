// Files: atomic replacement, whole reads, maps, and messages with the path and the reason.
#include "engine/base/file.h"

#include <sys/stat.h>

#include <cstdlib>

#include "engine/base/error.h"
#include "tests/support/catch.h"

using namespace gridstep;
using Catch::Matchers::Contains;

namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "gridstep-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }
  std::size_t entries() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), {})); }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("an atomic write replaces the content and leaves nothing else", "[base]") {
  const Folder folder;
  write_file_atomic(folder / "a", "first");
  CHECK(read_file(folder / "a") == "first");
  std::string large(300000, 'x');
  large[12345] = '\0';
  write_file_atomic(folder / "a", [&](const Sink& sink) {
    sink(large.data(), 100000);
    sink(large.data() + 100000, 200000);
    sink(large.data(), 0);
  });
  CHECK(read_file(folder / "a") == large);
  write_file_atomic(folder / "a", "");
  CHECK(read_file(folder / "a").empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("a failing writer leaves the old content and no temporary file", "[base]") {
  const Folder folder;
  write_file_atomic(folder / "a", "old");
  CHECK_THROWS_WITH(write_file_atomic(folder / "a",
                                      [](const Sink& sink) {
                                        sink("new", 3);
                                        throw std::runtime_error("planted");
                                      }),
                    "planted");
  CHECK(read_file(folder / "a") == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a reader sees the old file as long as it holds it", "[base]") {
  const Folder folder;
  write_file_atomic(folder / "a", "old content");
  const MappedFile map(folder / "a");
  write_file_atomic(folder / "a", "new");
  CHECK(std::string_view(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()) == "old content");
}

TEST_CASE("errors name the path and the system's reason", "[base]") {
  const Folder folder;
  CHECK_THROWS_WITH(read_file(folder / "missing"), Contains("missing") && Contains("No such file"));
  CHECK_THROWS_WITH(MappedFile(folder / "missing"), Contains("missing") && Contains("No such file"));
  CHECK_THROWS_WITH(write_file_atomic(folder / "no/such/file", "x"), Contains("no/such/file"));
  fs::create_directory(folder / "taken");
  CHECK_THROWS_WITH(write_file_atomic(folder / "taken", "x"), Contains("taken") && Contains("directory"));
  CHECK_THROWS_WITH(append_line(folder / "taken", "x"), Contains("taken"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a map of a folder is refused", "[base]") {
  const Folder folder;
  CHECK_THROWS_AS(MappedFile(folder / "."), Error);
}

TEST_CASE("lines are appended", "[base]") {
  const Folder folder;
  append_line(folder / "log", "one");
  append_line(folder / "log", "two");
  CHECK(read_file(folder / "log") == "one\ntwo\n");
}

TEST_CASE("maps cover the file, empty ones included, and move", "[base]") {
  const Folder folder;
  write_file_atomic(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
  write_file_atomic(folder / "a", std::string(5000, 'q'));
  MappedFile a(folder / "a");
  MappedFile b = std::move(a);
  CHECK(a.bytes().empty());
  CHECK(b.bytes().size() == 5000);
  CHECK(b.bytes()[4999] == std::byte{'q'});
  a = std::move(b);
  CHECK(a.bytes().size() == 5000);
}
