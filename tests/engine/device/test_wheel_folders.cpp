#include "engine/device/wheel_folders.h"

#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace gridstep;
namespace fs = std::filesystem;

TEST_CASE("CUDA libraries of Python's packages are found under each Python that is meant", "[device]") {
  const test::TemporaryFolder work;
  const fs::path root = fs::canonical(work.path());
  const auto package = [&](const char* at) { fs::create_directories(root / at); };
  package("env/lib/python3.11/site-packages/nvidia/cudnn/lib");
  package("env/lib/python3.11/site-packages/nvidia/cu13/lib");
  package("env/lib/python3.11/site-packages/nvidia/headers/include");  // a package without libraries
  package("env/lib/perl/site-packages/nvidia/cudnn/lib");
  fs::create_symlink(root / "env/lib", root / "env/lib64");
  package("conda/lib/python3.12/site-packages/nvidia/cublas/lib");
  package("usr/lib/python3/dist-packages/nvidia/cublas/lib");
  package("home/.local/lib/python3.12/site-packages/nvidia/cudnn/lib");
  package("usr/bin");
  package("empty/bin");
  std::ofstream(root / "usr/bin/python3") << "";

  const std::string path = (root / "empty/bin").string() + "::" + (root / "usr/bin").string() + ":/nowhere";
  const std::vector<fs::path> env{root / "env/lib/python3.11/site-packages/nvidia/cu13/lib",
                                  root / "env/lib/python3.11/site-packages/nvidia/cudnn/lib"};
  CHECK(wheel_library_folders({(root / "env").string(), "", "", ""}) == env);
  std::vector<fs::path> all = env;
  all.push_back(root / "conda/lib/python3.12/site-packages/nvidia/cublas/lib");
  all.push_back(root / "usr/lib/python3/dist-packages/nvidia/cublas/lib");
  all.push_back(root / "home/.local/lib/python3.12/site-packages/nvidia/cudnn/lib");
  const std::string home = (root / "home").string();
  CHECK(wheel_library_folders({(root / "env").string(), (root / "conda").string(), path, home}) == all);
  CHECK(wheel_library_folders({(root / "nowhere").string(), "", (root / "empty/bin").string(), ""}).empty());
  CHECK(wheel_library_folders({"env", "", "bin", ""}).empty());  // not relative to wherever one stands
}
