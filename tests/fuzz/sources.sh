#!/usr/bin/env bash
# The fuzz preset leaves out most of the library. What it keeps must hold everything that it and the targets use, or the preset does not link.
# usage: sources.sh LIBRARY_OBJECTS PATTERN TARGET_OBJECTS   both lists one object per line; PATTERN as in CMakeLists.txt
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

grep -E -- "$2" "$1" >"$work/objects" || { echo "FAILED: '$2' keeps no object of $1"; exit 1; }
cat -- "$3" >>"$work/objects"
# symbols FLAG: names of this project, each once
symbols() { xargs -d '\n' nm -P "$1" <"$work/objects" | awk '/^_Z[A-Z]*[0-9]*N?K?8gridstep/ { print $1 }' | LC_ALL=C sort -u; }
symbols --defined-only >"$work/defined"
symbols --undefined-only >"$work/used"
LC_ALL=C comm -13 "$work/defined" "$work/used" | c++filt >"$work/missing"
if [[ -s $work/missing ]]; then
  echo "FAILED: the sources of the fuzz preset (GS_FUZZ_SOURCES in CMakeLists.txt) lack:"
  cat -- "$work/missing"
  exit 1
fi
echo "$(wc -l <"$work/objects") objects, $(wc -l <"$work/used") symbols"
