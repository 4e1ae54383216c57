#!/usr/bin/env bash
# Where the CUDA plug-in's libraries are found, tried with a plug-in and a library made here: both only say that they were
# loaded.   usage: cuda_libraries.sh GRIDSTEP COMPILER
set -u
gridstep=$1 compiler=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

# A library of the name that the plug-in asks for, which knows the folder it was made for.
library() {
  mkdir -p "$1"
  echo "extern \"C\" const char* where() { return \"loaded from $2\"; }" |
    "$compiler" -x c++ -shared -fPIC -Wl,-soname,libcudart.so.none -o "$1/libcudart.so.none" - || fail "the compiler"
}
library "$work/named" GRIDSTEP_CUDA_LIBS
library "$work/listed" LD_LIBRARY_PATH
library "$work/env/lib/python3.9/site-packages/nvidia/cuda_runtime/lib" "an environment"
library "$work/other/lib/python3.9/site-packages/nvidia/cuda_runtime/lib" "the PATH"
mkdir "$work/plugin" "$work/other/bin" && touch "$work/other/bin/python3"
echo 'extern "C" const char* where(); extern "C" const char* gridstep_plugin(const char*, void*) { return where(); }' |
  "$compiler" -x c++ -shared -fPIC -o "$work/plugin/libgridstep_cuda.so" - -x none "$work/named/libcudart.so.none" || fail "the compiler"

# expect WORDS VARIABLE=VALUE...: what doctor says of CUDA
expect() {
  local words=$1 said
  shift
  said=$(env -i HOME="$work" PATH=/nowhere GRIDSTEP_PLUGIN_DIR="$work/plugin" "$@" "$gridstep" doctor 2>&1 | grep '^cuda ')
  case $said in *"$words"*) ;; *) fail "with '$*' wanted '$words', got '$said'" ;; esac
}
env=VIRTUAL_ENV=$work/env named=GRIDSTEP_CUDA_LIBS=$work/named listed=LD_LIBRARY_PATH=$work/listed
expect 'libcudart.so.none: cannot open' A=B
expect 'from an environment' "$env"
expect 'from the PATH' "PATH=$work/other/bin:/bin"
expect 'from an environment' "$env" "PATH=$work/other/bin"
expect 'from LD_LIBRARY_PATH' "$env" "$listed"
expect 'from GRIDSTEP_CUDA_LIBS' "$env" "$listed" "$named"
expect 'from an environment' "$env" GRIDSTEP_CUDA_LIBS=/nowhere
echo passed
