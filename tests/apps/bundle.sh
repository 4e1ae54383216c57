#!/usr/bin/env bash
# The installed folder runs after it has been moved, with nothing of the build around it.   usage: bundle.sh CMAKE BUILD_DIR
set -u
cmake=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

for component in runtime tests; do
  "$cmake" --install "$build" --prefix "$work/first" --component $component > "$work/log" 2>&1 || { tail -5 "$work/log"; fail "cmake --install $component"; }
done
mkdir "$work/elsewhere" && mv "$work/first" "$work/elsewhere/gridstep"
root=$work/elsewhere/gridstep
clean() { env -i HOME="$work" PATH=/usr/bin:/bin "$@"; }

size=$(tar -C "$work/elsewhere" -cz gridstep | wc -c)
((size < 64 * 1024 * 1024)) || fail "packed it has $size bytes, more than 64 MiB"
for file in "$root"/bin/gridstep "$root"/bin/gridstep-bench "$root"/lib/libgridstep.so; do
  missing=$(clean ldd "$file" | grep 'not found')
  [ -z "$missing" ] || fail "$file lacks $missing"
done
# What a plain system lacks comes from the bundle.
clean ldd "$root/bin/gridstep" | grep -q "libdnnl.* => $root/" || fail "oneDNN is not the bundle's own"
clean "$root/bin/gridstep" train espcn --optimizer adam --lr 0.001 --epochs 1 --device cpu --set data.name=synthetic --set data.synthetic_images=2 \
  --set data.synthetic_size=64 --set data.synthetic_val_images=1 --set train.steps_per_epoch=2 --set "data.cache=$work/cache" --out "$work/run" > "$work/log" 2>&1 ||
  { tail -5 "$work/log"; fail "a training"; }
clean "$root/bin/gridstep-bench" compare --help | grep -q "$root/share/gridstep/peers" || fail "the peers are not the bundle's own"
clean "$root/tests/test_optim" > "$work/log" 2>&1 || { tail -5 "$work/log"; fail "tests of the bundle"; }
wanted=0
[ -e "$root/lib/libgridstep_cuda.so" ] || wanted=2  # without CUDA there is nothing to check, which it says
clean "$root/bin/gpu_check.sh" --dry-run --out "$work/out" > "$work/log" 2>&1
[ $? = $wanted ] || { tail -5 "$work/log"; fail "gpu_check.sh --dry-run"; }
for script in espcn_lsq.py resnet_lsq.py lsq_peer.py ceilings.py; do [ -e "$root/share/gridstep/peers/$script" ] || fail "there is no $script"; done
# Nothing leads back to where it was built.
for file in "$root"/bin/gridstep* "$root"/lib/libgridstep* "$root"/tests/test_*; do
  if readelf -d "$file" | grep -E 'R(UN)?PATH' | grep -F "$build"; then fail "$file looks for libraries in the build folder"; fi
  if readelf -d "$file" | grep -E 'R(UN)?PATH' | grep -E '\[:|::|:\]|\[\]'; then fail "$file looks for libraries in the current folder"; fi
done
echo "passed: $((size >> 20)) MiB packed"
