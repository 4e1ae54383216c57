#!/usr/bin/env bash
# Installs what is missing, builds the command line, and runs the studies "quickstart" and "quickstart-classification". Run
# again, it shows their tables again.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./quickstart.sh [--cuda]

Installs what is missing (Debian and Ubuntu, through apt), builds the gridstep command into build/quickstart, links ./gridstep to it,
and runs two studies on generated images: `./gridstep study quickstart --resume` (ten optimizers, three seeds, super-resolution) and
`./gridstep study quickstart-classification --resume` (ResNet-20 in floats and at 8, 4 and 2 bits).

  --cuda    build the CUDA part also where no GPU is seen; without it, the CUDA part is built where a GPU, nvcc and cuDNN are there
  --help    this text

Exit codes: those of `gridstep study` (docs/cli.md); 2 also when packages are missing and cannot be installed.
TEXT
}

want_cuda=no
for argument in "$@"; do
  case $argument in
  --cuda) want_cuda=yes ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    echo "error: unknown option '$argument'" >&2
    usage >&2
    exit 2
    ;;
  esac
done

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$root"
source cmake/install_packages.sh
build=$root/build/quickstart
log=$root/build/quickstart.log

if [[ -e gridstep && ! -L gridstep ]]; then
  echo "error: $root/gridstep is in the way of the link to the program; move it elsewhere" >&2
  exit 2
fi
if ! mkdir -p -- "$root/build" 2>/dev/null || [[ ! -w $root/build || ! -w $root ]]; then
  echo "error: $root cannot be written to" >&2
  exit 2
fi

gs_install "$root/build/apt.log" "${GS_BUILD_PACKAGES[@]}"
if ! command -v cmake >/dev/null; then gs_no_install "there is no cmake" "${GS_BUILD_PACKAGES[@]}"; fi

cuda=OFF
absent=$(gs_missing_cuda_tools)
if [[ $want_cuda == no ]] && ! gs_have_gpu; then
  echo "device: no NVIDIA GPU is seen (nvidia-smi), building for the CPU"
elif [[ -n $absent ]]; then
  echo "device: the CUDA part is left out, this is missing: $absent; building for the CPU"
else
  cuda=ON
  echo "device: building for the CPU and CUDA"
fi

# Runs a command with its output kept in the log; prints the end of it on failure.
logged() {
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    return 1
  fi
}

configure() {
  local -a options=(-DCMAKE_BUILD_TYPE=Release -DGS_TESTS=OFF -DGS_WERROR=OFF -DGS_BENCH=OFF "-DGS_CUDA=$1")
  if [[ ! -e $build/CMakeCache.txt ]] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
  # The default instruction set has AVX2, which processors before 2013 lack.
  if [[ $(uname -m) == x86_64 ]] && ! grep -qm1 -w avx2 /proc/cpuinfo; then options+=(-DGS_ARCH=x86-64); fi
  logged cmake -S "$root" -B "$build" "${options[@]}"
}

gs_drop_foreign_build "$build" "$root"
start=$SECONDS
if [[ $cuda == ON ]] && ! configure ON; then
  echo "device: CUDA cannot be used (above); building for the CPU"
  rm -rf -- "$build"
  cuda=OFF
fi
if [[ $cuda == OFF ]]; then
  if ! configure OFF; then
    echo "error: the build could not be configured (whole output: $log)" >&2
    exit 1
  fi
  rm -f -- "$build/libgridstep_cuda.so"
fi

targets=(gridstep_cli)
if [[ $cuda == ON ]]; then targets+=(gridstep_cuda); fi
echo "build: compiling into ${build#"$root"/} with $(gs_jobs) jobs (the first time takes minutes)"
if ! logged cmake --build "$build" --parallel "$(gs_jobs)" --target "${targets[@]}"; then
  echo "error: the build failed (whole output: $log)" >&2
  exit 1
fi
echo "build: done in $((SECONDS - start)) s"

ln -sfn build/quickstart/gridstep gridstep
for study in quickstart quickstart-classification; do
  echo "run: ./gridstep study $study --resume"
  ./gridstep study "$study" --resume
done
