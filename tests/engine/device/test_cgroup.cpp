// Limits by control groups, read from trees of files as either version of them shows.
#include "engine/device/cgroup.h"

#include <limits>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
using gridstep::test::TemporaryFolder;

namespace {

constexpr Bytes kUnlimited = std::numeric_limits<Bytes>::max();

struct Tree {
  TemporaryFolder folder;

  void put(const std::string& path, const std::string& text) {
    const fs::path file = folder / path;
    fs::create_directories(file.parent_path());
    write_file_atomic(file, text);
  }
  void group2(const std::string& path, const std::string& limit, const std::string& usage, const std::string& stat) {
    put("mount/" + path + "/memory.max", limit + "\n");
    put("mount/" + path + "/memory.current", usage + "\n");
    put("mount/" + path + "/memory.stat", stat);
  }
  void group1(const std::string& path, const std::string& limit, const std::string& usage, const std::string& stat) {
    put("mount/memory/" + path + "/memory.limit_in_bytes", limit + "\n");
    put("mount/memory/" + path + "/memory.usage_in_bytes", usage + "\n");
    put("mount/memory/" + path + "/memory.stat", stat);
  }
  Bytes available(const std::string& own) {
    put("own", own);
    return cgroup_available_bytes(folder / "own", folder / "mount");
  }
};

}  // namespace

TEST_CASE("without control groups nothing limits memory", "[device]") {
  Tree tree;
  CHECK(tree.available("") == kUnlimited);
  CHECK(tree.available("0::/\n") == kUnlimited);
  CHECK(tree.available("nonsense\n4:memory\n") == kUnlimited);
  CHECK(cgroup_available_bytes(tree.folder / "absent", tree.folder / "absent") == kUnlimited);
}

TEST_CASE("the tightest group around a process counts, and pages of files are free", "[device]") {
  Tree tree;
  tree.group2("a", "9000", "1000", "anon 900\nfile 100\ninactive_file 60\nactive_file 40\n");
  tree.group2("a/b", "max", "500", "anon 500\n");
  tree.group2("a/b/c", "5000", "700", "inactive_file 200\nactive_file 100\n");
  CHECK(tree.available("0::/a/b/c\n") == 5000 - 700 + 300);
  CHECK(tree.available("0::/a/b\n") == 9000 - 1000 + 100);
  CHECK(tree.available("0::/elsewhere\n") == kUnlimited);
  CHECK(tree.available("0::/a/b/c/not-mounted-here\n") == 5000 - 700 + 300);
}

TEST_CASE("a container's group at the root of the mount counts whatever its path outside", "[device]") {
  Tree tree;
  tree.group2(".", "3000", "4000", "inactive_file 1\n");
  CHECK(tree.available("0::/docker/1234\n") == 0);
}

TEST_CASE("version 1 of control groups, with its number for no limit", "[device]") {
  Tree tree;
  tree.group1(".", "9223372036854771712", "100", "");
  tree.group1("jobs", "4096", "1096", "inactive_file 7\ntotal_inactive_file 500\ntotal_active_file 96\n");
  const std::string others = "9:name=systemd:/jobs\n3:cpuset,memory_pressure:/jobs\n";
  CHECK(tree.available(others + "5:cpu,memory:/jobs\n0::/\n") == 4096 - 500);
  CHECK(tree.available(others + "4:memory:/\n0::/\n") == kUnlimited);
}
