// Where Python's packages keep the CUDA libraries: `pip install torch`, or nvidia-cublas and nvidia-cudnn, put them
// into folders that the system's loader does not search.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gridstep {

// What decides which Python is meant; each may be empty.
struct PythonPlaces {
  std::string virtual_env;   // VIRTUAL_ENV
  std::string conda_prefix;  // CONDA_PREFIX
  std::string path;          // PATH: the first folder with a python3 counts
  std::string home;          // HOME: packages of `pip install --user`
  static PythonPlaces from_environment();
};

// <prefix>/lib{,64}/python3*/{site,dist}-packages/nvidia/*/lib of those Pythons, in the order above, each once, by name
// within a Python. Empty where there is none. Starts no program.
std::vector<std::filesystem::path> wheel_library_folders(const PythonPlaces& places);

}  // namespace gridstep
