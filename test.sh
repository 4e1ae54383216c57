#!/usr/bin/env bash
# Installs what is missing, builds everything with warnings as errors into build/test, and runs the tests. With nvcc and cuDNN the CUDA
# part is compiled as well; tests that need a GPU are skipped by name where there is none. The exit code is ctest's.
set -euo pipefail

if (($#)); then
  case $1 in
  -h | --help)
    echo "usage: ./test.sh [CTEST OPTIONS]    for example ./test.sh -R optim, or -LE lint"
    exit 0
    ;;
  esac
fi

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$root"
source cmake/install_packages.sh
gs_install "$root/build/apt.log" "${GS_BUILD_PACKAGES[@]}" "${GS_TEST_PACKAGES[@]}"

cuda=ON
absent=$(gs_missing_cuda_tools)
if [[ -n $absent ]]; then
  cuda=OFF
  echo "the CUDA part is left out, this is missing: $absent"
fi

gs_drop_foreign_build "$root/build/test" "$root"
cmake --preset ci -DGS_CUDA=$cuda
cmake --build --preset ci --parallel "$(gs_jobs)"

jobs=$(nproc)  # before OMP_NUM_THREADS is set: nproc heeds it
export OMP_NUM_THREADS=1
exec ctest --preset ci --parallel "$jobs" "$@"
