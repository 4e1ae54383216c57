#!/usr/bin/env bash
# Bad input: the exit code, and words that say what, where and what to do.   usage: cli_errors.sh GRIDSTEP
set -u
gridstep=$1
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
failures=0

# expect CODE WORDS... -- COMMAND...: every word must occur in the output
expect() {
  local code=$1 words=()
  shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  local output got
  output=$("$@" 2>&1 < /dev/null)
  got=$?
  if [ "$got" != "$code" ]; then
    echo "FAILED: exit code $got, wanted $code: $*"; echo "$output" | head -5; failures=$((failures + 1)); return
  fi
  for word in "${words[@]}"; do
    case "$output" in *"$word"*) ;; *) echo "FAILED: '$word' is not in the output of: $*"; echo "$output" | head -5; failures=$((failures + 1)) ;; esac
  done
}

small=(--device cpu --set data.name=synthetic --set data.synthetic_images=2 --set data.synthetic_size=64 --set data.synthetic_val_images=1
       --set train.steps_per_epoch=2 --set "data.cache=$work/cache")

expect 0 study train eval describe data doctor -- "$gridstep" --help
expect 2 describe -- "$gridstep" descrbe
expect 2 -- "$gridstep"
expect 2 quickstart -- "$gridstep" study quikstart
expect 2 train.epochs -- "$gridstep" study quickstart --set train.epoch=3 --dry-run
expect 2 weight_bits -- "$gridstep" study quickstart --set quant.weight_bits=9 --dry-run
expect 2 -- "$gridstep" study quickstart --set quant.weight_range=ternary --dry-run
expect 2 "did you mean 'adam'" -- "$gridstep" train espcn --optimizer adamm --lr 0.001 "${small[@]}" --out "$work/a"
expect 2 --seeds -- "$gridstep" train espcn --optimizer adam --lr 0.001 --seed 1 --seeds 3 "${small[@]}" --out "$work/a"
expect 3 train.init nowhere -- "$gridstep" train espcn --optimizer adam --lr 0.001 --init "$work/nowhere.safetensors" "${small[@]}" --out "$work/a" --dry-run
expect 3 'is no checkpoint file' -- "$gridstep" eval --checkpoint "$work" --data "$work"
expect 0 . -- "$gridstep" --version
expect 2 espcn -- "$gridstep" train escpn --lr 0.001 "${small[@]}" --out "$work/a"
expect 3 "$work/nowhere" -- "$gridstep" train espcn --optimizer adam --lr 0.001 --set data.name=div2k --data "$work/nowhere" --device cpu --out "$work/b"
mkdir "$work/empty"
expect 3 DIV2K http md5 -- "$gridstep" train espcn --optimizer adam --lr 0.001 --data "$work/empty" --device cpu --out "$work/c"
expect 3 'too few pixels to be measured' 29 -- "$gridstep" train espcn --lr 0.001 "${small[@]}" --set data.synthetic_size=24 --set train.patch=5 --out "$work/c"
printf 'x' > "$work/in.png"
expect 2 'over itself' -- "$gridstep" data reduce "$work/in.png" "$work/in.png" --scale 2
expect 2 'name it .png' -- "$gridstep" data reduce "$work/in.png" "$work/out.jpg" --scale 2
expect 2 'over itself' -- "$gridstep" eval --checkpoint "$work/none.safetensors" --image "$work/in.png" --out "$work/in.png"
expect 2 '--data' -- "$gridstep" eval --checkpoint "$work/none.safetensors" --image "$work/in.png" --out "$work/out.png" --data "$work"
expect 2 '--out' -- "$gridstep" eval --checkpoint "$work/none.safetensors" --data "$work" --out "$work/out.png"
expect 2 'no effect on espcn' -- "$gridstep" describe espcn --size 64
expect 2 'no effect on resnet20' -- "$gridstep" describe resnet20 --patch 17
expect 2 '--split' -- "$gridstep" eval --checkpoint "$work/none.safetensors" --image "$work/in.png" --out "$work/out.png" --split train
expect 2 'See gridstep data list --help' -- "$gridstep" data list "$work" --dataset div2k
expect 0 'the images are generated' -- "$gridstep" train espcn --lr 0.001 --device cpu --set data.synthetic_images=2 --set data.synthetic_val_images=1 --set "data.cache=$work/cache2" --out "$work/c" --dry-run
mkdir -p "$work/own/train"  # photos of one's own
expect 3 'data set image_folder' -- "$gridstep" train espcn --optimizer adam --lr 0.001 --data "$work/own" --device cpu --out "$work/c"
mkdir -p "$work/own/DIV2K_train_HR"
expect 3 'data set div2k' -- "$gridstep" train espcn --optimizer adam --lr 0.001 --data "$work/own" --device cpu --out "$work/c"
rmdir "$work/own/DIV2K_train_HR"
# A training photo that is too small to be measured is passed over, the first by name too; in val/ it is named. Photos need no train/.
expect 0 . -- "$gridstep" data synth "$work/photos" --images 5 --size 64
photo=$(find "$work/photos/train" -name '*.png' | head -1)
expect 0 . -- "$gridstep" data reduce "$photo" "$work/photos/train/0.png" --scale 3
own=(--lr 0.001 --epochs 1 --set train.steps_per_epoch=1 --set train.patch=5 --device cpu --set "data.cache=$work/cache2")
expect 0 'data: image_folder train: 6 photos' -- "$gridstep" train espcn --data "$work/photos" "${own[@]}" --out "$work/d"
expect 0 image_folder -- "$gridstep" train espcn --data "$work/photos/train" "${own[@]}" --out "$work/e" --dry-run
cp "$work/photos/train/0.png" "$work/photos/val/tiny.png"
expect 3 'tiny.png (21 x 21)' -- "$gridstep" train espcn --data "$work/photos" "${own[@]}" --out "$work/e"
expect 3 checkpoint -- "$gridstep" eval --checkpoint "$work/none.safetensors" --data "$work"
printf 'not a checkpoint' > "$work/broken.safetensors"
expect 3 broken.safetensors -- "$gridstep" eval --checkpoint "$work/broken.safetensors" --data "$work"
printf '\x02\x00\x00\x00\x00\x00\x00\x00{}' > "$work/other.safetensors"  # valid, and of no network
printf '\x89PNG\r\n\x1a\nbroken' > "$work/broken.png"
expect 3 broken.png -- "$gridstep" data check "$work/broken.png"
expect 2 scale -- "$gridstep" data reduce "$work/broken.png" "$work/out.png" --scale 5
[ -e "$work/a" ] && { echo "FAILED: a refused command wrote $work/a"; failures=$((failures + 1)); }

# A whole small study: finished, shown again, refused for another study, unfinished without --resume.
expect 0 adam bicubic -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/run"
expect 0 adam bicubic -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/run"
expect 2 -- "$gridstep" train espcn --optimizer adam --lr 0.002 --epochs 1 "${small[@]}" --out "$work/run"
expect 6 -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/run" --strict
rm "$work"/run/cells/*/result.json "$work/run/results.json"
expect 2 --resume -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/run"
expect 0 adam -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/run" --resume
expect 5 diverged -- "$gridstep" train espcn --optimizer sgd --lr 1e30 --epochs 1 "${small[@]}" --out "$work/diverged"
expect 0 network bicubic -- "$gridstep" eval --checkpoint "$work"/run/cells/*/checkpoints/last.safetensors --dataset synthetic --device cpu --json "$work/eval.json"
expect 0 network -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --arithmetic float --out "$work/plain"
for arithmetic in codes float; do  # a checkpoint of either arithmetic serves both
  expect 0 network bicubic -- "$gridstep" eval --checkpoint "$work"/plain/cells/*/checkpoints/last.safetensors --dataset synthetic --device cpu --arithmetic $arithmetic
done
expect 2 quant.arithmetic -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/plain"
expect 3 conv1.weight -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --set "train.init=$work/other.safetensors" --out "$work/init"
# Two quantizers read one value where a block has a convolution as its shortcut.
expect 0 resnet20 majority -- "$gridstep" train resnet20 --optimizer adam --lr 0.001 --epochs 1 --device cpu --set model.shortcut=b --set data.synthetic_images=20 --set data.synthetic_val_images=20 --set train.batch=10 --out "$work/shortcut"
# --tune finds rates: it must not ask for them.
printf '[study]\nname = "untuned"\n[grid]\noptim.name = ["adam", "lion"]\n[tune]\nseeds = [1000]\n' > "$work/untuned.toml"
expect 2 'rates.adam' -- "$gridstep" study "$work/untuned.toml" --device cpu --out "$work/untuned"
expect 0 lion-lr memory 'dry run' -- "$gridstep" study "$work/untuned.toml" --device cpu --out "$work/untuned" --tune --dry-run
expect 3 "$work/nowhere" -- "$gridstep" study "$work/untuned.toml" --device cpu --out "$work/untuned" --data "$work/nowhere" --tune --dry-run
if [ "$(id -u)" != 0 ]; then
  mkdir "$work/locked" && chmod a-w "$work/locked"
  expect 2 "$work/locked" --out -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --out "$work/locked/run"
fi
expect 0 31131 31008 -- "$gridstep" describe espcn --scale 3
expect 2 scale -- "$gridstep" describe espcn --scale 7
expect 0 warning 'cifar stem' 'memory for' -- "$gridstep" describe resnet20 --size 224 --batch 2
expect 0 warning 'imagenet stem' -- "$gridstep" describe resnet18 --size 32 --batch 2
expect 0 '[-128, 127]' -- "$gridstep" describe resnet20 --normalize cifar10
expect 0 '[-8, 7]' -- "$gridstep" describe resnet20 --bits 32,32 --layers 'layer3.*=4,4; fc=float'
expect 2 quant.layers layer9 'layer3.2.conv2' -- "$gridstep" describe resnet20 --layers 'layer9.*=4,4'
tiny=(--optimizer adam --lr 0.001 --epochs 1 --device cpu --set data.synthetic_images=20 --set data.synthetic_val_images=20 --set train.batch=10)
expect 0 'imagenet stem' 'planned as it is' MiB -- "$gridstep" train resnet20 "${tiny[@]}" --bits float --set model.stem=imagenet --out "$work/start"
expect 0 'tensors taken' 'of quantizers, calibrated' -- "$gridstep" train resnet20 "${tiny[@]}" --set model.stem=imagenet --init "$work"/start/cells/*/checkpoints/last.safetensors --out "$work/started"
expect 3 'conv1.weight' 'wants (16, 3, 3, 3)' -- "$gridstep" train resnet20 "${tiny[@]}" --init "$work"/start/cells/*/checkpoints/last.safetensors --out "$work/strange"
# A limit of the address space is seen before anything is allocated. A sanitizer reserves terabytes of it.
if [ "${GS_SANITIZE:-OFF}" = OFF ]; then
  expect 4 'one network needs' 'are to be had' -- bash -c "ulimit -v 409600; exec \"\$0\" \"\$@\"" "$gridstep" train resnet18 "${tiny[@]}" --set model.stem=cifar --out "$work/limited"
  [ -e "$work/limited/cells/adam-s0/checkpoints/last.safetensors" ] && { echo "FAILED: something was trained under the limit"; failures=$((failures + 1)); }
fi
expect 2 crop_padding -- "$gridstep" train resnet20 "${tiny[@]}" --set data.crop_padding=4 --set data.resized_crop=0.5 --out "$work/crops"
# Normalised images: what a training measured, `eval` measures of its checkpoint.
expect 0 resnet20 -- "$gridstep" train resnet20 "${tiny[@]}" --set data.normalize=imagenet --out "$work/normalised"
expect 0 top-1 -- "$gridstep" eval --checkpoint "$work"/normalised/cells/*/checkpoints/last.safetensors --dataset synthetic --device cpu --json "$work/normalised.json"
trained=$(grep -m1 -o '"loss": [0-9.]*' "$work"/normalised/cells/*/result.json)
grep -q "$trained" "$work/normalised.json" || { echo "FAILED: trained to $trained, evaluated to $(grep loss "$work/normalised.json")"; failures=$((failures + 1)); }
expect 2 data.normalize imagenet -- "$gridstep" train resnet20 "${tiny[@]}" --set data.normalize=imagnet --out "$work/n"
expect 2 data.normalize 255 -- "$gridstep" train resnet20 "${tiny[@]}" --set data.normalize=0,0,0/255,255,255 --out "$work/n"
expect 2 data.normalize classification -- "$gridstep" train espcn --optimizer adam --lr 0.001 "${small[@]}" --set data.normalize=imagenet --out "$work/n"
expect 2 weight_bits -- "$gridstep" describe espcn --bits 9,8
expect 2 activation_bits -- "$gridstep" describe espcn --bits 8,8x
expect 0 W32A32 -- "$gridstep" describe espcn --bits float
expect 0 oneDNN CUDA bf16 -- "$gridstep" doctor
# bfloat16 gradients: not on a processor that would emulate them (oneDNN is told to see such a one).
expect 2 train.backward bfloat16 -- "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --set train.backward=bf16 --out "$work/bf16"
for backward in train.backward=bfloat16 grid.train.backward=float32,bfloat16; do
  expect 4 train.backward 'AVX-512 BF16' -- env DNNL_MAX_CPU_ISA=AVX2 "$gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 "${small[@]}" --set "$backward" --out "$work/bf16"
done
expect 0 'train.backward = bfloat16 is refused' -- env DNNL_MAX_CPU_ISA=AVX2 "$gridstep" doctor
[ -e "$work/bf16" ] && { echo "FAILED: a refused command wrote $work/bf16"; failures=$((failures + 1)); }
[ "$failures" = 0 ] && echo "passed"
exit "$failures"
