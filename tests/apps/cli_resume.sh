#!/usr/bin/env bash
# A study killed with -9 and with SIGINT at several moments, resumed each time, ends with the bits of an uninterrupted one. SIGINT and SIGTERM
# each end it with a checkpoint and 130; a second signal ends it at once.
# usage: cli_resume.sh GRIDSTEP
set -u
gridstep=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

cat > "$work/kill.toml" <<'TOML'
[study]
name = "kill"
[train]
epochs = 3
steps_per_epoch = 120
batch = 8
patch = 17
checkpoint_steps = 7
replicas = 2
[data]
name = "synthetic"
synthetic_images = 3
synthetic_size = 96
synthetic_val_images = 1
[grid]
optim.name = ["adam", "sgd_clip"]
train.seed = [0, 1]
[rates]
adam = 0.001
sgd_clip = 0.1
TOML

# exec: the process that is killed must be the program, not a shell around it
study() { exec "$gridstep" study "$work/kill.toml" --device cpu --threads 2 --set "data.cache=$work/cache" --out "$1" "${@:2}"; }
# How long a cell took, and with how many others (a kill between two checkpoints parts a population), belongs to the run, not to the result.
state() {
  (cd "$1/cells" && find . -name '*.safetensors' | sort | xargs sha256sum
    sed -E 's/"seconds": ?[0-9.e-]+/"seconds": 0/; s/"replicas": ?[0-9]+/"replicas": 0/' ../results.json)
}

started=$(date +%s%N)
(study "$work/whole") > "$work/log" 2>&1 || { cat "$work/log"; fail "the uninterrupted study exited with $?"; }
elapsed=$(($(date +%s%N) - started))
share() { awk -v ns="$elapsed" -v share="$1" 'BEGIN { printf "%.3f", ns * share / 1e9 }'; }  # of the uninterrupted time, whatever the machine
state "$work/whole" > "$work/wanted"
[ "$(wc -l < "$work/wanted")" -gt 8 ] || fail "the uninterrupted study left too few files"

kills=0
for part in 0.1 0.2 0.25 0.2 0.15; do
  study "$work/killed" --resume > "$work/log" 2>&1 &
  pid=$!
  sleep "$(share $part)"
  if kill -9 "$pid" 2>/dev/null; then kills=$((kills + 1)); fi
  wait "$pid" 2>/dev/null
  [ "$kills" = 1 ] && [ -d "$work/killed" ] && echo half > "$work/killed/results.json.tmp1"  # as a kill inside a write leaves
done
study "$work/killed" --resume > "$work/log" 2>&1 &
pid=$!
sleep "$(share 0.1)"
kill -INT "$pid" 2>/dev/null
wait "$pid"
code=$?
[ "$code" = 130 ] || [ "$code" = 0 ] || { cat "$work/log"; fail "SIGINT ended with exit code $code, wanted 130 (or 0 if the study was through)"; }
(study "$work/killed" --resume) > "$work/log" 2>&1 || { cat "$work/log"; fail "the last resume exited with $?"; }
state "$work/killed" > "$work/got"
find "$work/killed" -name '*.tmp*' | grep . && fail "temporary files were left behind"
cmp -s "$work/wanted" "$work/got" || { diff "$work/wanted" "$work/got" | head -20; fail "resumed and uninterrupted differ"; }
# Each signal in mid-epoch; what it leaves is a checkpoint of more than zero steps, from which the bits are the same.
for signal in INT TERM; do
  rm -rf "$work/killed"
  study "$work/killed" --set train.checkpoint_steps=0 > "$work/log" 2>&1 &
  pid=$!
  for _ in $(seq 1000); do compgen -G "$work/killed/cells/*/checkpoints" > /dev/null && break; sleep 0.01; done
  kill -$signal "$pid"
  wait "$pid"
  got=$?
  [ "$got" = 130 ] || { cat "$work/log"; fail "SIG$signal ended with exit code $got, wanted 130"; }
  grep -q -- '--resume continues' "$work/log" || { cat "$work/log"; fail "SIG$signal: not said how to go on"; }
  compgen -G "$work/killed/cells/*/checkpoints/last.safetensors" > /dev/null || fail "SIG$signal left no checkpoint"
  (study "$work/killed" --resume --set train.checkpoint_steps=0) > "$work/log" 2>&1 || { cat "$work/log"; fail "the resume after SIG$signal exited with $?"; }
  state "$work/killed" > "$work/got"
  cmp -s "$work/wanted" "$work/got" || fail "after SIG$signal the results are others"
done

# Two signals within one step, which is made long: nothing is written any more. Where the step ended between them, there is a checkpoint: again.
for pair in "INT INT" "TERM TERM" "INT TERM"; do
  read -r first second <<< "$pair"
  for try in 1 2 3 4 5; do
    rm -rf "$work/killed"
    study "$work/killed" --set train.patch=32 --set train.batch=256 --set train.checkpoint_steps=0 > "$work/log" 2>&1 &
    pid=$!
    for _ in $(seq 1000); do compgen -G "$work/killed/cells/*/checkpoints" > /dev/null && break; sleep 0.01; done
    kill -$first "$pid"
    sleep 0.01
    kill -$second "$pid"
    wait "$pid"
    got=$?
    [ "$got" = 130 ] || { cat "$work/log"; fail "SIG$first and SIG$second ended with exit code $got, wanted 130"; }
    compgen -G "$work/killed/cells/*/checkpoints/last.safetensors" > /dev/null || break
    [ $try != 5 ] || fail "SIG$second did not end the study at once"
  done
done
echo "passed: $kills kills, SIGINT exit code $code, SIGINT and SIGTERM with a checkpoint, a second one at once; same bits"
