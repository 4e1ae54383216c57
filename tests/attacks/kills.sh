#!/usr/bin/env bash
# A study killed with -9 at named moments: while packs are written, in the first epoch, while a checkpoint is written, between cells, while
# results and table are written, and at random. Each time it is resumed; in the end every run folder must have the bits of an uninterrupted
# run, and no temporary files.   usage: kills.sh GRIDSTEP [KILLS, default 30]
set -u
[ $# -ge 1 ] || { echo "usage: kills.sh GRIDSTEP [KILLS]"; exit 2; }
gridstep=$(realpath "$1") wanted=${2:-30}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

cat > "$work/kill.toml" <<'TOML'
[study]
name = "kill"
[train]
epochs = 2
steps_per_epoch = 80
batch = 8
patch = 17
checkpoint_steps = 5
replicas = 1
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

study() { exec "$gridstep" study "$work/kill.toml" --device cpu --threads 2 --set "data.cache=$1/cache" --out "$1/run" "${@:2}"; }
state() {
  (cd "$1/run/cells" && find . -name '*.safetensors' | sort | xargs sha256sum
    sed -E 's/"seconds": ?[0-9.e-]+/"seconds": 0/; s/"replicas": ?[0-9]+/"replicas": 0/' ../results.json)
}
any() { compgen -G "$1" > /dev/null; }

mkdir "$work/whole"
started=$(date +%s%N)
(study "$work/whole") > "$work/log" 2>&1 || { cat "$work/log"; fail "the uninterrupted study exited with $?"; }
milliseconds=$((($(date +%s%N) - started) / 1000000))
state "$work/whole" > "$work/wanted"
[ "$(wc -l < "$work/wanted")" -gt 8 ] || fail "the uninterrupted study left too few files"

# Whether the moment has come; $1: its folder.
finished_cells() { find "$1/run/cells" -name result.json 2> /dev/null | wc -l; }
came() {
  case $moment in
    packing) any "$1/cache/*" || any "$1/run/*" ;;
    first-epoch) any "$1/run/cells/*" ;;
    checkpoint) any "$1/run/cells/*/checkpoints/*.tmp*" ;;
    between-cells) [ "$(finished_cells "$1")" -gt "$cells_before" ] ;;
    results) any "$1/run/*.tmp*" ;;
    random) [ "$(date +%s%N)" -gt "$until" ] ;;
  esac
}

finish() {  # a run folder, to its end
  (study "$1" --resume) > "$work/log" 2>&1 || { cat "$work/log"; fail "the last resume exited with $?"; }
  state "$1" > "$work/got"
  find "$1/run" -name "*.tmp*" | grep . && fail "temporary files were left behind"  # those of packs go after an hour
  cmp -s "$work/wanted" "$work/got" || { diff "$work/wanted" "$work/got" | head -20; fail "resumed and uninterrupted differ"; }
  rm -rf "$1"
}

moments=(packing first-epoch checkpoint between-cells results random)
declare -A count=()
kills=0 tries=0 folders=0 folder=""
while [ "$kills" -lt "$wanted" ] && [ "$tries" -lt $((4 * wanted)) ]; do
  moment=${moments[tries % ${#moments[@]}]}
  tries=$((tries + 1))
  if [ -z "$folder" ] || [ "$moment" = packing ]; then
    [ -z "$folder" ] || finish "$folder"
    folders=$((folders + 1)) folder=$work/f$folders
    mkdir "$folder"
  fi
  cells_before=$(finished_cells "$folder")
  until=$(($(date +%s%N) + (RANDOM * 32768 + RANDOM) % milliseconds * 1000000))
  study "$folder" --resume > "$work/log" 2>&1 &
  pid=$!
  seen=no
  while kill -0 "$pid" 2> /dev/null; do
    if came "$folder"; then
      kill -9 "$pid" 2> /dev/null && seen=yes
      break
    fi
  done
  wait "$pid" 2> /dev/null
  code=$?
  if [ "$seen" = yes ] && [ "$code" = 137 ]; then
    kills=$((kills + 1)) count[$moment]=$((${count[$moment]:-0} + 1))
  elif [ "$code" != 0 ]; then
    cat "$work/log"; fail "a resume ended with exit code $code"
  fi
done
[ -z "$folder" ] || finish "$folder"
for moment in "${moments[@]}"; do echo "  $moment: ${count[$moment]:-0}"; done
echo "$kills kills in $folders run folders, each ended with the bits of an uninterrupted run"
[ "$kills" -ge "$wanted" ]
