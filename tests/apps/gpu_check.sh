#!/usr/bin/env bash
# gpu_check.sh over programs that only pretend: what it runs, what it leaves, how it ends. Says nothing about a GPU.
# usage: gpu_check.sh SCRIPT
set -u
script=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() { echo "FAILED: $*"; failures=$((failures + 1)); }

# program PATH LINES...: a shell script
program() {
  local path=$1
  shift
  mkdir -p "$(dirname "$path")"
  { echo '#!/bin/sh'; printf '%s\n' "$@"; } > "$path"
  chmod +x "$path"
}
build=$work/build
program "$build/gridstep" 'echo "the doctor"'
# shellcheck disable=SC2016  # their own arguments
program "$build/gridstep-bench" 'echo "bench $*"' '[ "$1" != step ]'  # every step fails
for tests in cuda/test_cuda cuda/test_ptx_device simt/test_simt; do program "$build/tests/$tests" 'echo "all tests passed"'; done
# shellcheck disable=SC2016
program "$work/python/python3" 'case $2 in *torch*) exit 0 ;; esac' 'echo "a remark"' "echo '{\"copy_gb_per_s\": 1.0}'"
# What the script may use: no tool of NVIDIA's, whether or not this machine has some.
mkdir "$work/bin"
for tool in bash cat dirname grep mkdir sed sh sleep tail tee timeout; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done

# expect CODE WORDS... -- ARGUMENTS...: every word must occur in the output
expect() {
  local code=$1 words=() output got
  shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  output=$(env -i PATH="$work/bin" HOME="$work" "$work/bin/bash" "$script" "$@" 2>&1 < /dev/null)
  got=$?
  [ "$got" = "$code" ] || { complain "exit code $got, wanted $code: $*"; echo "$output" | tail -5; }
  for word in "${words[@]}"; do
    case $output in *"$word"*) ;; *) complain "'$word' is not in the output of: $*"; echo "$output" | tail -5 ;; esac
  done
}
# holds FILE WORDS: the file is there and has a line with the words
holds() { grep -qF -- "$2" "$work/out/$1" 2> /dev/null || complain "$1 lacks '$2'"; }

here=(--build "$build" --out "$work/out" --python "$work/python/python3")
stages=$(bash "$script" --help | sed -n '/^stages:/,$s/^  \([a-z_0-9]*\) .*/\1/p')
[ "$(wc -l <<< "$stages")" -ge 9 ] || complain "--help lists too few stages"
for stage in $stages; do expect 0 "== $stage: " 'dry run' -- "${here[@]}" --dry-run "$stage"; done
expect 0 test_cuda ncu compute-sanitizer -- "${here[@]}" --dry-run
[ -e "$work/out" ] && complain "a dry run wrote files"
expect 2 'no stage' -- "${here[@]}" nowhere
expect 2 'unknown option' -- "${here[@]}" --fast
expect 2 '--out needs a value' -- --out
expect 2 'no number' -- "${here[@]}" --stage-seconds soon
expect 2 'there is no' -- --build "$work"
expect 2 'no such folder' -- "${here[@]}" --python "$work/nowhere/python3"

# One stage fails, the others are run; a missing tool is no failure.
expect 1 'failed: step' -- "${here[@]}" facts tests step profile
holds facts.txt 'the doctor'
holds ceilings.json '{"copy_gb_per_s": 1.0}'
holds step.txt 'failed: exit code 1'
holds profile.txt 'not run: there is no ncu'
holds summary.json '{"stage": "tests", "result": "passed"'
holds summary.json '{"stage": "step", "result": "failed"'
holds summary.json '{"stage": "profile", "result": "not run"'
# Run again, a stage replaces what it left.
# shellcheck disable=SC2016
program "$build/gridstep-bench" 'echo "bench $*"'
expect 0 'no stage failed' -- "${here[@]}" step
holds summary.json '{"stage": "step", "result": "passed"'
[ "$(grep -c '"stage": "step"' "$work/out/summary.json")" = 1 ] || complain "a stage stands twice in the summary"
grep -q failed "$work/out/step.txt" && complain "step.txt still holds the earlier run"
python3 -c 'import json, sys; sys.exit(len(json.load(open(sys.argv[1]))) != 4)' "$work/out/summary.json" 2> /dev/null ||
  ! command -v python3 > /dev/null || complain "summary.json is no list of four stages"
# Without a GPU the tests are skipped, which is no proof; a stage ends in its time.
program "$build/tests/cuda/test_cuda" 'exit 77'
expect 1 'no GPU can be used' -- "${here[@]}" tests
program "$build/tests/cuda/test_cuda" 'exec sleep 60'
started=$SECONDS
expect 1 'seconds were over' -- "${here[@]}" --stage-seconds 1 tests
[ $((SECONDS - started)) -lt 20 ] || complain "a stage outlived its time"

[ "$failures" = 0 ] && echo passed
exit "$failures"
