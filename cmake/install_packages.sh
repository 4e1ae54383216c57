# shellcheck shell=bash disable=SC2034  # the lists are for those who source this
# Sourced by quickstart.sh and test.sh: Debian and Ubuntu packages, and what of CUDA is there.

GS_BUILD_PACKAGES=(build-essential cmake ninja-build libdnnl-dev libfmt-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
  libturbojpeg0-dev libpng-dev zlib1g-dev libxxhash-dev)
GS_TEST_PACKAGES=(catch2 clang-format)

# Prints those of the packages named that are not installed.
gs_missing_packages() {
  local package
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) != installed ]]; then echo "$package"; fi
  done
}

# gs_no_install WHY PACKAGES...: names the command that would install them, and ends with exit code 2.
gs_no_install() {
  local why=$1
  shift
  {
    echo "error: $why. Install what is missing, then run this script again:"
    echo
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    echo
  } >&2
  exit 2
}

# gs_install LOG PACKAGES...: installs with apt those that are missing; says which. Exit code 2 where that cannot be done.
gs_install() {
  local log=$1
  shift
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "packages: this system has no apt; taking what these Debian packages hold to be installed: $*"
    return
  fi
  local -a missing as_root=()
  mapfile -t missing < <(gs_missing_packages "$@")
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then gs_no_install "installing packages needs root, and there is no sudo" "${missing[@]}"; fi
    # A password can be asked for on a terminal only.
    if sudo -n true 2>/dev/null || { [[ -t 0 && -t 2 ]] && sudo -v; }; then
      as_root=(sudo)
    else
      gs_no_install "installing packages needs root, and sudo refuses" "${missing[@]}"
    fi
  fi
  echo "packages: installing with apt: ${missing[*]}"
  local -a apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y
    -o DPkg::Lock::Timeout=200 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
  mkdir -p -- "$(dirname -- "$log")"
  # A failed update is no reason to stop: the lists of an earlier one can serve.
  "${apt[@]}" update >"$log" 2>&1 </dev/null || true
  if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
    { grep -E '^(E|Err|W):' "$log" || tail -n 5 "$log"; } | sort -u | head -n 8 >&2
    gs_no_install "apt could not install the packages (its output: $log)" "${missing[@]}"
  fi
}

# Path of nvcc; fails where there is none.
gs_find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "$(command -v nvcc || true)" "${CUDA_PATH:-}/bin/nvcc" "${CUDA_HOME:-}/bin/nvcc" /usr/local/cuda/bin/nvcc; do
    if [[ -x $candidate ]]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Whether cuDNN's header lies where cmake/FindCuDNN.cmake looks.
gs_have_cudnn() {
  local nvcc folder
  nvcc=$(gs_find_nvcc) || return 1
  for folder in "${CUDNN_ROOT:-}/include" "$(dirname -- "$(readlink -f -- "$nvcc")")/../include" /usr/local/cuda/include /usr/include \
    "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
    if [[ -e $folder/cudnn.h ]]; then return; fi
  done
  return 1
}

# Prints what of the CUDA tools is missing ("nvcc and cuDNN"); nothing when all of it is there.
gs_missing_cuda_tools() {
  if ! gs_find_nvcc >/dev/null; then
    echo "nvcc (the CUDA toolkit)"
  elif ! gs_have_cudnn; then
    echo "cuDNN (its header, cudnn.h)"
  fi
}

gs_have_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }

# Compilers that run at the same time: as many as there are cores, and 1.5 GiB of memory for each.
gs_jobs() {
  local cores memory_kib
  cores=$(nproc)
  memory_kib=$(sed -nE 's/^MemAvailable: *([0-9]+) kB/\1/p' /proc/meminfo 2>/dev/null || true)
  local fit=$((${memory_kib:-99999999} / 1572864))
  if ((fit < 1)); then fit=1; fi
  echo $((fit < cores ? fit : cores))
}

# A build folder that was configured for another source folder (a moved or copied clone) cannot be used again.
gs_drop_foreign_build() {
  local build=$1 root=$2 home
  if [[ ! -e $build/CMakeCache.txt ]]; then return; fi
  home=$(sed -nE 's/^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/\1/p' "$build/CMakeCache.txt")
  if [[ $home != "$root" ]]; then
    echo "build: $build was made for $home; starting afresh"
    rm -rf -- "$build"
  fi
}
