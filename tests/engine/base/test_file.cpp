// Files: atomic replacement, whole reads, maps, and messages with the path and the reason.
#include "engine/base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using Catch::Matchers::Contains;

namespace {

class Folder : public test::TemporaryFolder {
 public:
  std::size_t entries() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(path()), {})); }
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
  CHECK(a.bytes().empty());  // NOLINT(bugprone-use-after-move,clang-analyzer-cplusplus.Move): what a move leaves
  CHECK(b.bytes().size() == 5000);
  CHECK(b.bytes()[4999] == std::byte{'q'});
  a = std::move(b);
  CHECK(a.bytes().size() == 5000);
}

TEST_CASE("what killed writers left is removed, and nothing else", "[file]") {
  const Folder folder;
  fs::create_directories(folder / "cells");
  const std::string own = fmt::format("own.tmp{}", ::getpid());
  for (const char* name : {"a.json.tmp12", "cells/b.safetensors.tmp345", "c.tmp", "d.tmp12x", ".tmp9", "e.json"}) {
    write_file_atomic(folder / name, "x");
  }
  append_line(folder / own.c_str(), "x");
  fs::create_directories(folder / "tune/cells");
  write_file_atomic(folder / "tune/cells/f.json.tmp77", "x");
  remove_leftovers(folder.path(), folder / "tune");
  CHECK(fs::exists(folder / "tune/cells/f.json.tmp77"));
  CHECK_FALSE(fs::exists(folder / "a.json.tmp12"));
  CHECK_FALSE(fs::exists(folder / "cells/b.safetensors.tmp345"));
  for (const char* name : {"c.tmp", "d.tmp12x", ".tmp9", "e.json", own.c_str()}) CHECK(fs::exists(folder / name));
  CHECK_NOTHROW(remove_leftovers(folder / "nowhere"));
}
