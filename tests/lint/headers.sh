#!/usr/bin/env bash
# Every header compiles alone: headers.sh ROOT CXX. One that a source includes before anything else has been shown to by the build; the
# others are compiled here. Headers that see the CUDA toolkit are left to nvcc, which compiles their users.
compiler=${2:?usage: ${0##*/} ROOT CXX}
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# shellcheck disable=SC2317  # called by xargs
check_header() {
  local said
  if ! said=$("$2" -std=c++20 -I. -Itests -fsyntax-only -x c++ -include "$1" /dev/null 2>&1); then
    echo "$1:1: does not compile alone: $(grep -m1 error <<<"$said" || head -n1 <<<"$said")"
  fi
}
export -f check_header

included_first() {
  sources '*.cpp' | while IFS= read -r file; do
    grep -m1 -E '^#include' "$file" | sed -nE 's/^#include "([^"]+)".*/\1/p'
  done
}

LC_ALL=C comm -23 <(sources '*.h') <(included_first | LC_ALL=C sort -u) |
  { grep -vE '^engine/device/cuda/|_cuda\.h$|^tests/simt/' || true; } | tr '\n' '\0' |
  xargs -0 -r -P "$(nproc)" -I{} bash -c 'check_header "$@"' lint {} "$compiler" | conclude headers
