#!/usr/bin/env bash
# Runs the fuzz targets one after the other and prints a line for each: executions, edges covered, findings, minutes. A target that finds
# something is started again until its time is over or it has 10 findings; they lie in build/fuzz/findings/TARGET/ with the log beside them.
# The exit code is 1 when anything was found.
set -euo pipefail

usage() {
  echo "usage: tests/fuzz/run.sh [SECONDS] [TARGET...]    default: 600 seconds each, all targets"
  echo "  \$GS_FUZZ_BUILD: the build folder (default build/fuzz); corpora and findings are kept there"
}

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  usage
  exit 0
fi
seconds=600
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${GS_FUZZ_BUILD:-$root/build/fuzz}
programs=$build/tests/fuzz
corpora=$build/corpora
most_findings=10

targets=("$@")
if ((${#targets[@]} == 0)); then
  for source in "$root"/tests/fuzz/fuzz_*.cpp; do
    name=$(basename -- "$source" .cpp)
    targets+=("${name#fuzz_}")
  done
fi
for target in "${targets[@]}"; do
  if [[ ! -x $programs/fuzz_$target ]]; then
    echo "error: there is no $programs/fuzz_$target. Build it: cmake --preset fuzz && cmake --build --preset fuzz" >&2
    exit 2
  fi
done
if [[ ! -d $corpora ]]; then "$root/tests/fuzz/make_corpora.sh" "$corpora" >/dev/null; fi

# In memory where there is room: targets that attack what reads files write one per execution.
memory=/dev/shm
if [[ ! -w $memory ]]; then memory=${TMPDIR:-/tmp}; fi
scratch=$(mktemp -d "$memory/gridstep-fuzz-XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT

longest() {
  case $1 in
  cifar10) echo 9300 ;; # three records and some
  study) echo 8192 ;;
  *) echo 4096 ;;
  esac
}

# run TARGET SECONDS LOG: one libFuzzer process; its exit code.
run() {
  local target=$1 log=$3
  local -a options=(-max_total_time="$2" -timeout=20 -rss_limit_mb=2048 -max_len="$(longest "$target")" -print_final_stats=1
    -artifact_prefix="$build/findings/$target/")
  if [[ -e $corpora/$target.dict ]]; then options+=(-dict="$corpora/$target.dict"); fi
  TMPDIR=$scratch OMP_NUM_THREADS=1 nice -n 10 "$programs/fuzz_$target" "${options[@]}" "$corpora/$target" >"$log" 2>&1
}

total=0
for target in "${targets[@]}"; do
  mkdir -p -- "$build/findings/$target"
  executions=0 edges=0 found=0 begun=$SECONDS
  for ((left = seconds; left > 0 && found < most_findings; left = seconds - (SECONDS - begun))); do
    log=$build/findings/$target.$found.log
    if ! run "$target" "$left" "$log"; then found=$((found + 1)); fi
    if ! grep -q '^INFO: Seed: ' "$log"; then
      echo "error: fuzz_$target did not start: $(head -n 1 "$log")" >&2
      exit 2
    fi
    done_now=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1/p' "$log")
    covered=$(sed -nE 's/^#.* cov: ([0-9]+) .*/\1/p' "$log" | tail -n 1)
    executions=$((executions + ${done_now:-0}))
    if ((${covered:-0} > edges)); then edges=$covered; fi
  done
  total=$((total + found))
  printf '%-12s %10d executions  %6d edges  %2d findings  %5.1f minutes\n' "$target" "$executions" "$edges" "$found" \
    "$(awk -v s=$((SECONDS - begun)) 'BEGIN { print s / 60 }')"
done
exit $((total > 0 ? 1 : 0))
