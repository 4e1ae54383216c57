#!/usr/bin/env bash
# The static analysis of .clang-tidy: clang_tidy.sh BUILD_DIR [FILES...]. Without files, all sources that the build folder has a compile
# command for, but kernels for the GPU; headers are judged with the sources that include them. Prints each finding once, and their number.
# Takes minutes to an hour, so it is no test; JOBS and CLANG_TIDY may be set.
set -euo pipefail
usage="usage: ${0##*/} BUILD_DIR [FILES...]"
build=$(realpath -- "${1:?$usage}")
shift
root=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/../..")
tidy=${CLANG_TIDY:-clang-tidy-14}
command -v "$tidy" >/dev/null || tidy=clang-tidy
command -v "$tidy" >/dev/null || { echo "no clang-tidy" >&2; exit 77; }
[[ -e $build/compile_commands.json ]] || { echo "no $build/compile_commands.json: configure a preset first" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One command per source: those of the sanitized variants come after the plain one.
awk '/^{/ { entry = ""; next } /^}/ { if (!(file in seen)) { seen[file]; printf "%s{\n%s}", n++ ? ",\n" : "[\n", entry } next }
     /^[[]|^[]]/ { next } { entry = entry $0 "\n" } /"file":/ { file = $0 } END { print "\n]" }' "$build/compile_commands.json" \
  >"$work/compile_commands.json"

if (($#)); then
  realpath -- "$@" >"$work/files"
else
  sed -nE "s|^ *\"file\": \"($root/(engine\|kernels\|optim\|models\|data\|apps\|tests)/.*[.]cpp)\".*|\1|p" "$work/compile_commands.json" >"$work/files"
fi

# shellcheck disable=SC2317  # called by xargs
check() {
  local said
  said=$("$1" -p "$2" --quiet --extra-arg=-Wno-unknown-warning-option "$3" 2>"$2/errors.$$") ||
    [[ $said == *:\ error:* ]] || said+="$3:1:1: error: $1 failed: $(tail -n1 "$2/errors.$$")"
  grep -E ': (warning|error): ' <<<"$said" || true
}
export -f check

cd -- "$root"
findings=$(tr '\n' '\0' <"$work/files" | xargs -0 -r -P "${JOBS:-$(nproc)}" -I{} bash -c 'check "$@"' lint "$tidy" "$work" {} | sed "s|^$root/||" | LC_ALL=C sort -u)
if [[ -n $findings ]]; then printf '%s\n' "$findings"; fi
printf 'clang_tidy: %d finding(s) in %d file(s)\n' "$(grep -c . <<<"$findings")" "$(wc -l <"$work/files")"
[[ -z $findings ]]
