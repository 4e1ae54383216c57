#!/usr/bin/env bash
# Storage that fails a study: damaged checkpoints, a full disk, folders that cannot be made or written to, a second process. Each is
# said clearly, and what was good before is whole and used.   usage: cli_storage.sh GRIDSTEP
set -u
gridstep=$1
work=$(mktemp -d)
mounted=
trap '[ -z "$mounted" ] || umount "$work/disk"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

cat > "$work/study.toml" <<'TOML'
[study]
name = "storage"
[train]
epochs = 40
steps_per_epoch = 6
batch = 2
patch = 7
[data]
name = "synthetic"
synthetic_images = 4
synthetic_val_images = 1
synthetic_size = 32
[optim]
name = "adam"
lr = 0.001
[grid]
train.seed = [0, 1]
TOML

study() { "$gridstep" study "$work/study.toml" --device cpu --threads 1 --set "data.cache=$work/cache" --out "$@" > "$work/log" 2>&1; }
wanted() { # CODE WORDS...
  local code=$1; shift
  [ "$got" = "$code" ] || { cat "$work/log"; fail "exit code $got, wanted $code"; }
  for word in "$@"; do grep -q -- "$word" "$work/log" || { cat "$work/log"; fail "'$word' is not in the message"; }; done
}
# How long it took belongs to the run, not to the result.
state() { (cd "$1/cells" && find . -name '*.safetensors' ! -name 'damaged*' -exec sha256sum {} + && sed 's/,"seconds":[0-9.e+-]*//' */metrics.jsonl) | sort; }
flip() { # FILE: one bit in its middle
  local at=$(($(stat -c %s "$1") / 2)) byte
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ 4)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

study "$work/good"; got=$?; wanted 0
state "$work/good" > "$work/want"
find "$work/good" -name 'previous*' | grep . && fail "a finished study keeps checkpoints that nobody needs"

# A damaged last checkpoint of one cell: found, kept aside, and the cell ends with the same bits.
for damage in flip cut empty; do
  rm -rf "$work/run"
  ( exec "$gridstep" study "$work/study.toml" --device cpu --threads 1 --set "data.cache=$work/cache" --out "$work/run" > "$work/log" 2>&1 ) &
  pid=$!
  for _ in $(seq 400); do [ -e "$work/run/cells/adam-s1/checkpoints/previous.safetensors" ] && break; sleep 0.01; done
  kill -9 "$pid" 2> /dev/null; wait "$pid" 2> /dev/null
  last=$work/run/cells/adam-s1/checkpoints/last.safetensors
  [ -e "$work/run/cells/adam-s1/checkpoints/previous.safetensors" ] || fail "the study ended before it could be stopped: give it more epochs"
  [ -e "$last" ] || cp "$work/run/cells/adam-s1/checkpoints/previous.safetensors" "$last"
  case $damage in
    flip) flip "$last" ;;
    cut) truncate -s -5 "$last" ;;
    empty) : > "$last" ;;
  esac
  study "$work/run" --resume; got=$?; wanted 0 "adam-s1/checkpoints/last.safetensors" damaged "the one before"
  state "$work/run" > "$work/got"
  cmp -s "$work/want" "$work/got" || { diff "$work/want" "$work/got" | head -4; fail "after a damaged checkpoint ($damage) the results are others"; }
done

# A checkpoint that is measured is checked as well.
cp "$work/good/cells/adam-s0/checkpoints/last.safetensors" "$work/one.safetensors"
flip "$work/one.safetensors"
"$gridstep" eval --checkpoint "$work/one.safetensors" --dataset synthetic --device cpu > "$work/log" 2>&1; got=$?
wanted 3 one.safetensors checksum

# A run folder that cannot be made.
: > "$work/file"
study "$work/file/run"; got=$?; wanted 2 "$work/file" "--out"

# Folders that an ordinary user may not write to: at the start, and from the first epoch on.
user=()
if [ "$(id -u)" = 0 ]; then user=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
as_user() { "${user[@]}" "$gridstep" study "$work/study.toml" --device cpu --threads 1 --set "data.cache=$1" --out "${@:2}" > "$work/log" 2>&1; }
chmod 755 "$work"
mkdir "$work/mine" "$work/closed"
: > "$work/log"
chmod 666 "$work/log"
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$work/mine" "$work/closed"
chmod a-w "$work/closed"
if "${user[@]}" "$gridstep" --help > /dev/null 2>&1; then
  as_user "$work/mine/cache" "$work/closed/run"; got=$?; wanted 2 "$work/closed" "--out"
  as_user "$work/closed/cache" "$work/mine/run"; got=$?; wanted 1 "$work/closed/cache" "Permission denied"
  rm -rf "$work/mine/run"
  ( exec "${user[@]}" "$gridstep" study "$work/study.toml" --device cpu --threads 1 --set "data.cache=$work/mine/cache" --out "$work/mine/run" > "$work/log" 2>&1 ) &
  pid=$!
  for _ in $(seq 400); do [ -e "$work/mine/run/cells/adam-s1/checkpoints/last.safetensors" ] && break; sleep 0.01; done
  find "$work/mine/run" -type d -exec chmod a-w {} +
  wait "$pid"; got=$?; wanted 1 "Permission denied"
  find "$work/mine/run" -type d -exec chmod u+w {} +
  as_user "$work/mine/cache" "$work/mine/run" --resume; got=$?; wanted 0
  state "$work/mine/run" > "$work/got"
  cmp -s "$work/want" "$work/got" || fail "after a folder that was closed the results are others"
  closed="folders without permission"
else
  closed="folders without permission not tried: the program's own folder is not open to others"
fi

# A second process on the same folder.
( exec "$gridstep" study "$work/study.toml" --device cpu --threads 1 --epochs 40000 --set "data.cache=$work/cache" --out "$work/both" > "$work/log1" 2>&1 ) &
pid=$!
for _ in $(seq 400); do [ -e "$work/both/cells/adam-s0/metrics.jsonl" ] && break; sleep 0.01; done
study "$work/both" --epochs 40000 --resume; got=$?
kill -9 "$pid" 2> /dev/null; wait "$pid" 2> /dev/null
[ "$got" != 0 ] || fail "two processes train in one folder"
grep -q "in use by another gridstep process" "$work/log" || { cat "$work/log"; fail "the second process is not told why it must not"; }

# A disk that fills up while training: the last good checkpoint is used once there is room again.
mkdir "$work/disk"
if mount -t tmpfs -o size=4m tmpfs "$work/disk" 2> /dev/null; then
  mounted=1
  study "$work/disk/run"; got=$?; wanted 0
  used=$(du -sk "$work/disk/run" | cut -f1)
  rm -rf "$work/disk/run"
  full=0
  for share in 50 70 85 95; do
    rm -rf "$work/disk"/*
    head -c $(((4096 - used * share / 100) * 1024)) /dev/zero > "$work/disk/filler"
    study "$work/disk/run"; got=$?
    [ "$got" = 0 ] && continue
    wanted 1 "No space left"
    full=$((full + 1))
    rm "$work/disk/filler"
    study "$work/disk/run" --resume; got=$?; wanted 0
    state "$work/disk/run" > "$work/got"
    cmp -s "$work/want" "$work/got" || fail "after a full disk ($share %) the results are others"
  done
  [ "$full" -ge 2 ] || fail "the disk was full in $full of 4 attempts only"
  disk="a disk full in $full of 4 attempts"
else
  disk="full disk not tried: no right to mount"
fi
echo "passed: damaged checkpoints, a run folder below a file, two processes, $closed, $disk"
