#!/usr/bin/env bash
# Whole studies with --device cuda, on the plug-in over the emulated CUDA runtime (docs/simt.md): the bits do not depend on the population, on the
# capture as a graph, on fusion, on who convolves codes, or on interruptions; losses agree with the CPU's; faults of a network stay its own.
# usage: plugin.sh GRIDSTEP FOLDER   (where the emulated libgridstep_cuda.so lies)
set -u
gridstep=$1
export GRIDSTEP_PLUGIN_DIR=$2
unset GRIDSTEP_CUDA_LIBS # the real libraries
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

cat > "$work/photos.toml" <<'TOML'
[study]
name = "photos"
[train]
epochs = 2
steps_per_epoch = 4
batch = 2
patch = 5
checkpoint_steps = 1
[data]
name = "synthetic"
synthetic_images = 3
synthetic_size = 36
synthetic_val_images = 1
[grid]
optim.name = ["adam", "agc_sgd"]
[rates]
adam = 0.003
adamw = 0.003
rmsprop = 0.001
adagrad = 0.01
adadelta = 3.0
sgd = 0.1
nesterov = 0.03
lion = 0.0003
sgd_clip = 0.1
agc_sgd = 0.1
TOML
cat > "$work/classes.toml" <<'TOML'
[study]
name = "classes"
[model]
name = "resnet20"
[train]
epochs = 2
steps_per_epoch = 2
batch = 2
norm_batches = 1
frozen_norm_epochs = 1
[data]
name = "synthetic"
synthetic_images = 10
synthetic_val_images = 2
autoaugment = "cifar10"
normalize = "cifar10"
crop_padding = 2
mirror = true
[grid]
optim.name = ["sgd", "lion"]
[rates]
sgd = 0.01
lion = 0.0003
TOML

# NAME STUDY [OPTIONS]: trains into $work/NAME. exec: what is interrupted must be the program, not a shell around it.
study() { (exec "$gridstep" study "$work/$2.toml" --out "$work/$1" --set run.device=cuda --set "data.cache=$work/cache" "${@:3}" > "$work/$1.log" 2>&1); }
trained() {
  study "$@"
  local code=$?
  [ $code = 0 ] || { cat "$work/$1.log"; fail "$1: exit code $code"; }
}
checkpoints() { (cd "$work/$1/cells" && find . -name '*.safetensors' | LC_ALL=C sort | xargs sha256sum); }
same_bits() {
  [ "$(checkpoints "$1" | wc -l)" -ge 4 ] || fail "$1: too few checkpoints"
  diff <(checkpoints "$1") <(checkpoints "$2") > "$work/diff" || { cat "$work/diff"; fail "$1 and $2 have other checkpoints"; }
}
replicas() { grep -oE '"replicas": *[0-9]+' "$work/$1/results.json" | grep -oE '[0-9]+' | sort -u | xargs; }
losses() { (cd "$work/$1/cells" && grep -ohE '"(train|val)_loss":[^,]+' ./*/metrics.jsonl | cut -d: -f2); }
# NAME NAME TOLERANCE: all losses, relatively
close_losses() {
  [ "$(losses "$1" | wc -l)" -ge 4 ] || fail "$1: too few losses"
  paste <(losses "$1") <(losses "$2") |
    awk -v most="$3" '{ d = ($1 - $2) / $2; if (!(d * d <= most * most)) { print $1, $2; bad = 1 } } END { exit bad }' ||
    fail "$1 and $2 have losses that differ by more than $3"
}

trained photos photos
grep -q '"device": *"emulated GPU' "$work/photos/results.json" || fail "the emulated GPU was not used"
[ "$(replicas photos)" = 2 ] || fail "the two networks did not train together"
trained again photos
same_bits photos again
for change in solo=train.replicas=1 eager=run.capture=off own=run.conv=own cudnn=run.conv=cudnn unfused=run.fuse=none checked=run.debug=1; do
  trained "${change%%=*}" photos --set "${change#*=}"
  same_bits photos "${change%%=*}"
done
[ "$(replicas solo)" = 1 ] || fail "train.replicas = 1 trained several together"

# Interrupted while there is much to do, then resumed.
long=(--set train.steps_per_epoch=30 --set train.epochs=1 --set grid.optim.name=adam)
trained whole photos "${long[@]}"
(exec "$gridstep" study "$work/photos.toml" --out "$work/stopped" --set run.device=cuda --set "data.cache=$work/cache" "${long[@]}" > "$work/stopped.log" 2>&1) &
pid=$!
for _ in $(seq 600); do
  [ -f "$work/stopped/cells/adam-s0/checkpoints/last.safetensors" ] && break
  sleep 0.05
done
kill -INT $pid || fail "the study to be interrupted was gone"
wait $pid
code=$?
[ $code = 130 ] || { cat "$work/stopped.log"; fail "interrupted, the study ended with exit code $code"; }
cmp -s "$work"/{whole,stopped}/cells/adam-s0/checkpoints/last.safetensors && fail "nothing was left to do after the interruption"
trained stopped photos --resume "${long[@]}"
cmp "$work"/{whole,stopped}/cells/adam-s0/checkpoints/last.safetensors || fail "resumed, the study has other bits"

every='grid.optim.name=adam,adamw,rmsprop,adagrad,adadelta,sgd,nesterov,lion,sgd_clip,agc_sgd'
trained ten photos --set "$every" --set train.epochs=1 --set train.steps_per_epoch=3
trained ten-cpu photos --set "$every" --set train.epochs=1 --set train.steps_per_epoch=3 --set run.device=cpu
close_losses ten ten-cpu 1e-3
trained halves photos --set train.backward=bfloat16
trained halves-solo photos --set train.backward=bfloat16 --set train.replicas=1
same_bits halves halves-solo
cmp -s "$work"/{halves,photos}/cells/adam-s0/checkpoints/last.safetensors && fail "gradients in bfloat16 have the bits of float32"
close_losses halves photos 0.05

last=$work/photos/cells/adam-s0/checkpoints/last.safetensors
for tile in 0 7; do
  "$gridstep" eval --checkpoint "$last" --dataset synthetic --device cuda --tile $tile --json "$work/eval$tile.json" > "$work/log" 2>&1 || { cat "$work/log"; fail "eval with tiles of $tile"; }
done
diff <(grep -oE '"(psnr|ssim)[^,}]*' "$work/eval0.json") <(grep -oE '"(psnr|ssim)[^,}]*' "$work/eval7.json") || fail "tiles change what is measured"

trained wild photos --set grid.optim.name=adam --set 'grid.optim.lr=0.003,1e30'
grep -qE '"status": *"diverged"' "$work/wild/results.json" || fail "no network diverged at 1e30"
cmp "$work"/photos/cells/adam-s0/checkpoints/last.safetensors "$work"/wild/cells/*0.003*/checkpoints/last.safetensors ||
  fail "a network that diverged changed its neighbour"

# The libraries take 44 MiB; then the device is too small, or the plan.
for size in 20 45; do
  SIMT_GPU_MIB=$size study narrow photos
  [ $? = 4 ] || fail "a GPU of $size MiB was not refused with exit code 4"
  grep -q "$([ $size = 20 ] && echo 'no room' || echo 'MiB are available')" "$work/narrow.log" || { cat "$work/narrow.log"; fail "a GPU of $size MiB: another reason"; }
done

trained classes classes
trained classes-solo classes --set train.replicas=1
same_bits classes classes-solo
trained classes-eager classes --set run.capture=off
same_bits classes classes-eager
trained classes-cpu classes --set run.device=cpu
close_losses classes classes-cpu 0.05 # a code that flips moves all that follows
echo "simt.plugin: $(find "$work" -name results.json | wc -l) studies"
