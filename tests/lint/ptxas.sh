#!/usr/bin/env bash
# No kernel spills registers, uses local memory or takes more registers than registers.txt grants: ptxas.sh ROOT OBJECTS, where OBJECTS
# lists the plug-in's objects, one per line. Reads the report beside each (cmake/keep_ptxas_report.sh), prints the registers of every
# kernel, and takes a missing report for a finding.
objects=$(realpath -- "${2:?usage: ${0##*/} ROOT OBJECTS}")
limits=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/registers.txt")
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

reports=()
missing=()
while IFS= read -r object; do
  if [[ $object != *.cu.o ]]; then continue; fi
  if [[ -s $object.ptxas ]]; then reports+=("$object.ptxas"); else missing+=("$object: no report of ptxas"); fi
done <"$objects"
if ((${#missing[@]})); then printf '%s\n' "${missing[@]}" | conclude ptxas; fi
if ((${#reports[@]} == 0)); then
  echo "no CUDA sources" >&2
  exit 77
fi

# "Compiling entry function" names a kernel and its architecture; "Function properties" precedes the bytes of it or of a function that it
# calls; "Used N registers" ends the kernel.
table=$(awk -v limits="$limits" '
  BEGIN {
    while ((getline line < limits) > 0) {
      if (line ~ /^#/) continue
      split(line, part, " ")
      limit[++rules] = part[1]
      pattern[rules] = part[2]
    }
    if (rules == 0) print "finding registers.txt holds no limit"
  }
  /Compiling entry function/ { split($0, part, "\047"); kernel = part[2]; arch = part[4]; next }
  /Function properties for/ { subject = $NF; next }
  /bytes stack frame/ { stack[subject, arch] = $1; spills[subject, arch] = $5 + $9; if ($1 + $5 + $9 > 0) bad[subject, arch] = 1; next }
  /Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/)
    used = substr($0, RSTART + 5, RLENGTH - 5)
    printf "%4d registers  %s  %s\n", used, arch, kernel
    for (r = 1; r <= rules; ++r) {
      if (kernel !~ pattern[r]) continue
      if (used + 0 > limit[r] + 0) printf "finding %s (%s): %d registers, more than %d\n", kernel, arch, used, limit[r]
      break
    }
    ++kernels
  }
  END {
    for (key in bad) {
      split(key, part, SUBSEP)
      printf "finding %s (%s): %d bytes of local memory, %d bytes spilled\n", part[1], part[2], stack[key], spills[key]
    }
    if (kernels == 0) print "finding the reports name no kernel"
  }' "${reports[@]}" | c++filt)
grep -v '^finding ' <<<"$table" | sort -rn || true
{ grep '^finding ' <<<"$table" || true; } | sed 's/^finding //' | conclude ptxas
