#!/usr/bin/env bash
# gridstep-bench as a user meets it: tables, files, bad usage. Nothing is judged by its time.   usage: bench.sh GRIDSTEP_BENCH
set -u
bench=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect CODE WORDS... -- COMMAND...: every word must occur in the output
expect() {
  local code=$1 words=() output got
  shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  output=$("$@" 2>&1 < /dev/null)
  got=$?
  if [ "$got" != "$code" ]; then
    echo "FAILED: exit code $got, wanted $code: $*"; echo "$output" | tail -5; failures=$((failures + 1)); return
  fi
  for word in "${words[@]}"; do
    case "$output" in *"$word"*) ;; *) echo "FAILED: '$word' is not in the output of: $*"; echo "$output" | tail -5; failures=$((failures + 1)) ;; esac
  done
}

quick=(--device cpu --seconds 0.001)
expect 0 kernels step population compare peak -- "$bench" --help
expect 0 quantize_backward adadelta 'of copy' '1 KiB' -- "$bench" kernels --sizes 1K "${quick[@]}" --json "$work/kernels.json" --markdown "$work/kernels.md"
expect 0 relu 'cold caches' -- "$bench" kernels relu --sizes 1M --caches cold "${quick[@]}"
expect 0 conv2/backward_data optimizer floor arena -- "$bench" step --patch 5 --batch 2 "${quick[@]}" --json "$work/step.json"
expect 0 'against one' -- "$bench" population --patch 5 --batch 2 --replicas 1,3 "${quick[@]}" --json "$work/population.json"
grep -q '"gb_per_s"' "$work/kernels.json" || { echo "FAILED: no figures in kernels.json"; failures=$((failures + 1)); }
grep -q '^| quantize ' "$work/kernels.md" || { echo "FAILED: no table in kernels.md"; failures=$((failures + 1)); }
grep -q '"floor_ms"' "$work/step.json" || { echo "FAILED: no floor in step.json"; failures=$((failures + 1)); }
grep -q '"replicas": 3' "$work/population.json" || { echo "FAILED: no rows in population.json"; failures=$((failures + 1)); }
expect 2 'did you mean' quantize -- "$bench" kernels quantise
expect 2 'no size' -- "$bench" kernels relu --sizes lots
expect 2 '--bits' -- "$bench" step --bits 8 "${quick[@]}"
expect 0 layer3.2.conv2/backward_data 'images of 8' -- "$bench" step --model resnet20 --size 8 --batch 2 "${quick[@]}"
expect 2 '--size' -- "$bench" step --model resnet20 --patch 17 "${quick[@]}"
expect 2 '--patch' -- "$bench" step --size 32 "${quick[@]}"
expect 2 'resnet20' -- "$bench" step --model resnet2 "${quick[@]}"
expect 2 -- "$bench" step --fuse some
expect 2 -- "$bench"
# A peer that prints figures, one that fails, none at all.
mkdir "$work/peers"
echo 'the script is never read' > "$work/peers/espcn_lsq.py"
printf '#!/bin/sh\necho %s\n' "'{\"ms\": 1000.0, \"error\": 0.0, \"samples\": 9, \"torch\": \"none\", \"device\": \"cpu\"}'" > "$work/python"
chmod +x "$work/python"
expect 0 'PyTorch eager' 'against gridstep' -- "$bench" compare --only eager --rounds 1 --patch 5 --batch 2 --peer-python "$work/python" --peers "$work/peers" "${quick[@]}"
expect 1 '--peer-python' -- "$bench" compare --only eager --rounds 1 --patch 5 --batch 2 --peer-python /bin/false --peers "$work/peers" "${quick[@]}"
expect 2 resnet_lsq.py -- "$bench" compare --model resnet20 --peers "$work/peers" "${quick[@]}"
expect 2 espcn_lsq.py -- "$bench" compare --peers "$work" "${quick[@]}"
expect 2 '--only' -- "$bench" compare --only nobody --peers "$work/peers" "${quick[@]}"

[ "$failures" = 0 ] && echo passed
exit "$failures"
