#!/usr/bin/env bash
# A memory limit by control group, below what a training needs: it must end with exit code 4 and words before anything is allocated, and train under
# one that suffices. Wants the right to make groups (root) and either version of them; without, it says so and passes.
# usage: cgroup.sh GRIDSTEP
set -u
[ $# = 1 ] && [ -x "$1" ] || { echo "usage: cgroup.sh GRIDSTEP"; exit 2; }
gridstep=$1
work=$(mktemp -d)
group=
cleanup() {
  if [ -n "$group" ]; then rmdir "$group" 2> /dev/null || { sleep 0.5; rmdir "$group"; }; fi
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; exit 1; }

# A group below the one this process is in, where the mount shows it, else at the mount's root.
own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3 }' /proc/self/cgroup)
if [ -d /sys/fs/cgroup/memory ]; then
  mount=/sys/fs/cgroup/memory limit=memory.limit_in_bytes version=1
else
  own=$(awk -F: '$1 == 0 { print $3 }' /proc/self/cgroup)
  mount=/sys/fs/cgroup limit=memory.max version=2
fi
[ -d "$mount$own" ] || own=
if mkdir "$mount$own/gridstep-test-$$" 2> /dev/null; then group=$mount$own/gridstep-test-$$; fi
if [ -z "$group" ] || [ ! -w "$group/$limit" ]; then echo "not tried: no control group can be made here"; exit 0; fi

small=(--optimizer adam --lr 0.001 --epochs 1 --device cpu --threads 1 --set model.stem=cifar --set data.synthetic_images=20 --set data.synthetic_val_images=20
       --set train.batch=10 --set "data.cache=$work/cache")
limited() { # MIB OUT
  echo $(($1 << 20)) > "$group/$limit" || fail "the group takes no limit of $1 MiB"
  (echo $BASHPID > "$group/cgroup.procs" && exec "$gridstep" train resnet18 "${small[@]}" --out "$2") > "$work/log" 2>&1
}
refused=0
for mib in 100 200 300 400 500; do
  limited $mib "$work/refused"
  got=$?
  [ "$got" = 4 ] || { cat "$work/log"; fail "under $mib MiB: exit code $got, wanted 4"; }
  grep -qE 'needs? .* are (available|to be had)' "$work/log" || { cat "$work/log"; fail "under $mib MiB: not said what is needed and what there is"; }
  ! compgen -G "$work/refused/cells/*/checkpoints/last.safetensors" > /dev/null || fail "something was trained under $mib MiB"
  refused=$((refused + 1))
done
limited 2048 "$work/trained"
got=$?
[ "$got" = 0 ] || { cat "$work/log"; fail "under 2048 MiB: exit code $got, wanted 0"; }
echo "passed: $refused limits refused with exit code 4, version $version of control groups"
