#!/usr/bin/env bash
# Packs and photos that change under a running study. Pixels that were checked and are others now end it with exit code 3 and the pack's name,
# before a checkpoint holds a step of them; what does not touch the mapped file (removed, replaced by rename) does not touch the study. Resumed,
# each ends with the bits of an undisturbed run.   usage: cli_data_changes.sh GRIDSTEP
set -u
gridstep=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

cat > "$work/sr.toml" <<'TOML'
[study]
name = "changes"
[train]
epochs = 30
steps_per_epoch = 20
batch = 2
patch = 7
checkpoint_steps = 7
[data]
name = "image_folder"
[optim]
name = "adam"
lr = 0.001
[grid]
train.seed = [0, 1]
TOML
cat > "$work/class.toml" <<'TOML'
[study]
name = "changes"
[model]
name = "resnet20"
[train]
epochs = 5
batch = 4
[data]
name = "image_folder"
size = 16
[optim]
name = "sgd"
lr = 0.01
[grid]
train.seed = [0, 1]
TOML

"$gridstep" data synth "$work/photos" --images 16 --size 64 > "$work/log" 2>&1 || { cat "$work/log"; fail "no photos"; }
for split in train val; do
  mkdir -p "$work/classes/$split"/{a,b}
  cp "$work/photos/$split"/*[02468].png "$work/classes/$split/a"
  cp "$work/photos/$split"/*[13579].png "$work/classes/$split/b"
done

study() { # KIND FOLDER ARGUMENTS...: photos, cache and run below FOLDER
  exec "$gridstep" study "$work/$1.toml" --device cpu --threads 1 --data "$2/data" --set "data.cache=$2/cache" --out "$2/run" "${@:3}"
}
state() { (cd "$1/run/cells" && find . -name '*.safetensors' | sort | xargs sha256sum; sed 's/,"seconds":[0-9.e+-]*//' */metrics.jsonl); }
prepare() { # KIND: a fresh folder with its photos
  rm -rf "$work/here"
  mkdir "$work/here"
  case $1 in sr) cp -r "$work/photos" "$work/here/data" ;; class) cp -r "$work/classes" "$work/here/data" ;; esac
}
finish() { # KIND WHAT: resumed, the same bits
  (study "$1" "$work/here" --resume) > "$work/log" 2>&1 || { cat "$work/log"; fail "$2: the resumed study exited with $?"; }
  state "$work/here" > "$work/got"
  cmp -s "$work/wanted.$1" "$work/got" || { diff "$work/wanted.$1" "$work/got" | head -4; fail "$2: the results are others"; }
}

flip() { # FILE: one bit of a pixel
  local byte
  byte=$(od -An -tu1 -j 1000 -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ 4)))" | dd of="$1" bs=1 seek=1000 conv=notrunc status=none
}
change() { # HOW: PACK is the file, SPLIT its split
  case $1 in
    flipped) flip "$pack" ;;
    overwritten) head -c "$(stat -c %s "$pack")" /dev/zero | dd of="$pack" conv=notrunc status=none ;;
    cut) truncate -s $(($(stat -c %s "$pack") / 2)) "$pack" ;;
    emptied) : > "$pack" ;;
    touched) touch "$pack" ;;
    replaced) cp "$pack" "$pack.other" && flip "$pack.other" && mv "$pack.other" "$pack" ;;
    removed) rm -r "$work/here/cache" "$work/here/data" ;;
  esac
}
disturb() { # KIND SPLIT HOW CODE: the pack of this split, when the first epochs are through
  local kind=$1 split=$2 how=$3 code=$4 pid got
  prepare "$kind"
  study "$kind" "$work/here" > "$work/log" 2>&1 &
  pid=$!
  for _ in $(seq 1000); do compgen -G "$work/here/run/cells/*/metrics.jsonl" > /dev/null && break; sleep 0.01; done
  pack=$(ls "$work/here/cache/"*"-$split-"*.pack)
  change "$how"
  [ ! -e "$work/here/run/results.json" ] || fail "the study ended before its data could be changed: give it more epochs"
  wait "$pid"
  got=$?
  [ "$got" = "$code" ] || { cat "$work/log"; fail "$kind, $split $how: exit code $got, wanted $code"; }
  if [ "$code" != 0 ]; then
    grep -qF "$(basename "$pack")" "$work/log" || { cat "$work/log"; fail "$kind, $split $how: the pack is not named"; }
    grep -qE 'was changed while|was cut short' "$work/log" || { cat "$work/log"; fail "$kind, $split $how: not said what happened"; }
  fi
  [ "$how" = removed ] && case $kind in sr) cp -r "$work/photos" "$work/here/data" ;; class) cp -r "$work/classes" "$work/here/data" ;; esac
  finish "$kind" "$kind, $split $how"
  disturbed=$((disturbed + 1))
}

disturbed=0
for kind in sr class; do
  prepare $kind
  (study $kind "$work/here") > "$work/log" 2>&1 || { cat "$work/log"; fail "the undisturbed study exited with $?"; }
  state "$work/here" > "$work/wanted.$kind"
  for how in flipped cut; do
    disturb $kind train $how 3
    disturb $kind val $how 3
  done
  for how in overwritten emptied; do disturb $kind train $how 3; done
  for how in touched replaced removed; do disturb $kind train $how 0; done
done

# Photos gone before a resume: said, and nothing is lost once they are back.
prepare sr
study sr "$work/here" > "$work/log" 2>&1 &
pid=$!
for _ in $(seq 1000); do [ -e "$work/here/run/cells/adam-s0/metrics.jsonl" ] && break; sleep 0.01; done
kill -TERM "$pid"
wait "$pid"
got=$?
[ "$got" = 130 ] || { cat "$work/log"; fail "SIGTERM ended with exit code $got, wanted 130"; }
mv "$work/here/data" "$work/here/away"
(study sr "$work/here" --resume) > "$work/log" 2>&1
got=$?
[ "$got" = 3 ] && grep -qF "$work/here/data" "$work/log" || { cat "$work/log"; fail "without its photos: exit code $got, wanted 3 and their folder"; }
mv "$work/here/away" "$work/here/data"
finish sr "photos back again"
echo "passed: packs or photos changed $disturbed times under a running study, and photos that were away"
