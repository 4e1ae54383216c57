#!/usr/bin/env bash
# Makes the seed corpora of the fuzz targets from nothing: small valid files that fuzz_seeds writes, pictures in more kinds where the tools of
# libjpeg-turbo (jpegtran) are installed, and what was found so far (tests/fuzz/findings).
set -euo pipefail

usage() {
  echo "usage: tests/fuzz/make_corpora.sh [FOLDER]    default: build/fuzz/corpora; \$GS_FUZZ_BUILD is the build folder (default build/fuzz)"
}

if [[ ${1:-} == -h || ${1:-} == --help ]] || (($# > 1)); then
  usage
  exit $(($# > 1 ? 2 : 0))
fi

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${GS_FUZZ_BUILD:-$root/build/fuzz}
folder=${1:-$build/corpora}

seeds=$build/tests/fuzz/fuzz_seeds
if [[ ! -x $seeds ]]; then
  echo "error: there is no $seeds. Build it first: cmake --preset fuzz && cmake --build --preset fuzz" >&2
  exit 2
fi
mkdir -p -- "$folder"
"$seeds" "$folder"

if command -v jpegtran >/dev/null; then
  for jpeg in rgb444 gray cmyk; do
    jpegtran -arithmetic -outfile "$folder/jpeg/$jpeg-arithmetic" "$folder/jpeg/$jpeg"
    jpegtran -optimize -restart 1B -outfile "$folder/jpeg/$jpeg-restart" "$folder/jpeg/$jpeg"
  done
fi

for found in "$root"/tests/fuzz/findings/*/; do
  if [[ -d $found ]]; then cp -- "$found"* "$folder/$(basename -- "$found")/"; fi
done

for target in "$folder"/*/; do
  printf '%-12s %3d seeds\n' "$(basename -- "$target")" "$(find "$target" -type f | wc -l)"
done
