#!/usr/bin/env bash
# The numeric policy and the warnings reach every compile command: build.sh ROOT COMPILE_COMMANDS GS_WERROR. The presets turn warnings
# into errors.
commands=$(realpath -- "${2:?usage: ${0##*/} ROOT COMPILE_COMMANDS GS_WERROR}")
werror=${3:?usage: ${0##*/} ROOT COMPILE_COMMANDS GS_WERROR}
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

if [[ ! -e $commands ]]; then
  echo "no $commands: configure with CMAKE_EXPORT_COMPILE_COMMANDS=ON" >&2
  exit 77
fi

# lacking c++|cuda FLAG: the sources compiled without it.
lacking() {
  local select=-v
  if [[ $1 == cuda ]]; then select=-e; fi
  { grep -E '"command": .* -c ' "$commands" || true; } | { grep $select ' -x cu ' || true; } |
    { grep -vE -- " $2( |,|\$)" || true; } | sed -E "s/.* -c //; s/ -o .*//; s/\",?\$//; s/\$/: compiled without $2/"
}

{
  if ! grep -q '"GS_WERROR": "ON"' CMakePresets.json || grep -q '"GS_WERROR": "OFF"' CMakePresets.json; then
    echo "CMakePresets.json: warnings are not errors in every preset (GS_WERROR)"
  fi
  if ! grep -qE '"command": .* -c ' "$commands"; then echo "$commands: names no compile command"; fi
  lacking c++ '-ffp-contract=off'
  lacking cuda '-fmad=false'
  lacking cuda '-Xcompiler=-ffp-contract=off'
  if [[ $werror == ON ]]; then
    lacking c++ '-Werror'
    lacking cuda '-Werror=all-warnings'
  fi
} | conclude build
