#!/usr/bin/env bash
# Every source is formatted as .clang-format says. Other versions of clang-format lay out differently, so only 14 judges.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

tool=
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null && [[ $("$candidate" --version) == *"version 14."* ]]; then
    tool=$candidate
    break
  fi
done
if [[ -z $tool ]]; then
  echo "clang-format 14 is not installed" >&2
  exit 77
fi

mapfile -t files < <(all_sources)
if ((${#files[@]} == 0)); then exit 0; fi
{ "$tool" --dry-run -Werror --ferror-limit=1 "${files[@]}" 2>&1 || true; } |
  { grep -E '^[^ ]+:[0-9]+:[0-9]+: error' || true; } | sed 's/: error:.*/: not formatted; run clang-format -i/' | conclude format
