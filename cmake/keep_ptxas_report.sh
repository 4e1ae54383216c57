#!/usr/bin/env bash
# Compiler launcher for nvcc: runs the command given, keeps what `ptxas -v` says of every kernel in OBJECT.ptxas, and passes
# everything else on, so that the build shows warnings and errors alone.
set -uo pipefail

object=
for ((i = 1; i < $#; ++i)); do
  if [[ ${!i} == -o ]]; then
    j=$((i + 1))
    object=${!j}
  fi
done
[[ $object == *.o ]] || exec "$@"

said=$object.ptxas.tmp
"$@" 2>"$said"
result=$?
# A report line begins with "ptxas info"; the properties of a function follow on an indented line.
grep -vE '^ptxas info|^ +[0-9]+ bytes stack frame' "$said" >&2
if ((result == 0)); then
  grep -E '^ptxas info|^ +[0-9]+ bytes stack frame' "$said" >"$object.ptxas"
else
  rm -f "$object.ptxas"
fi
rm -f "$said"
exit "$result"
