# shellcheck shell=bash
# Sourced by the lints. Each is called with the root of a source tree as its first argument, prints file:line and what is wrong for
# every finding, and exits 0 without findings, 1 with some, 77 where it cannot judge.
set -euo pipefail
shopt -s inherit_errexit

root=${1:?usage: ${0##*/} ROOT}
cd -- "$root"

# Folders of C++ and CUDA code, those that are there.
code_folders() {
  local folder
  for folder in engine kernels optim models data apps tests; do
    if [[ -d $folder ]]; then echo "$folder"; fi
  done
}

# Sources with the name patterns given, one per line, in a fixed order.
sources() {
  local -a names=() folders
  local pattern
  mapfile -t folders < <(code_folders)
  for pattern in "$@"; do names+=(-o -name "$pattern"); done
  if ((${#folders[@]})); then find "${folders[@]}" -type f \( "${names[@]:1}" \) | LC_ALL=C sort; fi
}

all_sources() { sources '*.h' '*.cpp' '*.cu' '*.cuh'; }

# Every text file of the tree that people write: no builds, no runs, nothing of the version control.
text_files() {
  find . \( -name .git -o -name build -o -name runs -o -name .cache \) -prune -o -type f -print | sed 's|^\./||' | LC_ALL=C sort |
    while IFS= read -r file; do
      if [[ ! -s $file ]] || grep -qI '' -- "$file"; then printf '%s\n' "$file"; fi
    done
}

# Reads findings from standard input and ends the lint: whether there are any decides the exit code.
conclude() {
  local findings
  findings=$(cat)
  if [[ -z $findings ]]; then exit 0; fi
  printf '%s\n%s: %d finding(s)\n' "$findings" "$1" "$(wc -l <<<"$findings")" >&2
  exit 1
}
