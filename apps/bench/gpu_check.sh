#!/usr/bin/env bash
# What only a GPU can show, in stages of under nine minutes each, in the order of worth. Needs a GPU, its driver, and the bundle (bin/, lib/,
# tests/) or a build folder; PyTorch for the peers, compute-sanitizer and ncu where installed. Changes no setting of the card.
#
#   gpu_check.sh [--build DIR | --bundle DIR] [--out DIR] [--python PYTHON] [--dry-run] [STAGE...]
#
# Without --build and --bundle: the bundle that this script lies in. Each stage leaves <out>/<stage>.txt, and .json where there are figures; the
# script ends with 1 when a stage failed, after running the others.
set -uo pipefail

stages=(facts tests sanitizer harness kernels step peers exactness profile)
describe() {
  case $1 in
  facts) echo "device, driver, clocks; copy rate; launches per second" ;;
  tests) echo "every gpu test" ;;
  sanitizer) echo "compute-sanitizer memcheck, racecheck, initcheck, synccheck over the gpu tests" ;;
  harness) echo "fragment layouts and kernels: the same test sources on the device and in the host harness" ;;
  kernels) echo "gridstep-bench kernels, hot and cold" ;;
  step) echo "gridstep-bench step and population" ;;
  peers) echo "gridstep-bench compare with PyTorch" ;;
  exactness) echo "sums of codes on tensor cores against int64" ;;
  profile) echo "Nsight Compute on the hottest kernels" ;;
  esac
}
usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  echo "stages:"
  for s in "${stages[@]}"; do printf '  %-10s %s\n' "$s" "$(describe "$s")"; done
}

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
bundle=$(dirname "$here") build='' out=gpu_check python=python3 dry=no
chosen=()
while (($#)); do
  case $1 in
  --build) build=${2:?--build needs a folder}; shift ;;
  --bundle) bundle=${2:?--bundle needs a folder}; shift ;;
  --out) out=${2:?--out needs a folder}; shift ;;
  --python) python=${2:?--python needs a program}; shift ;;
  --dry-run) dry=yes ;;
  -h | --help) usage; exit 0 ;;
  -*) echo "error: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  *)
    case " ${stages[*]} " in
    *" $1 "*) chosen+=("$1") ;;
    *) echo "error: there is no stage '$1'" >&2; usage >&2; exit 2 ;;
    esac
    ;;
  esac
  shift
done
((${#chosen[@]})) || chosen=("${stages[@]}")

if [[ -n $build ]]; then
  gridstep=$build/gridstep bench=$build/gridstep-bench
  gpu_tests=$build/tests/cuda/test_cuda simt_tests=$build/tests/simt/test_simt
else
  gridstep=$bundle/bin/gridstep bench=$bundle/bin/gridstep-bench
  gpu_tests=$bundle/tests/test_cuda simt_tests=$bundle/tests/test_simt
fi
for program in "$gridstep" "$bench" "$gpu_tests"; do
  [[ -x $program ]] || { echo "error: there is no $program; --build names a build folder, --bundle an unpacked bundle" >&2; exit 2; }
done
limit=540
failed=()

# run FILE COMMAND...: its output goes to the terminal and to <out>/FILE.txt; at most nine minutes.
run() {
  local file=$out/$1.txt
  shift
  printf '$ %s\n' "$*"
  [[ $dry == yes ]] && return 0
  mkdir -p -- "$out"
  printf '$ %s\n' "$*" >> "$file"
  timeout --kill-after=10 "$limit" "$@" 2>&1 | tee -a "$file"
  local code=${PIPESTATUS[0]}
  ((code == 0)) || { echo "exit code $code" | tee -a "$file"; return "$code"; }
}
# have PROGRAM STAGE: says so in the stage's file where it is missing.
have() {
  command -v "$1" > /dev/null || [[ $dry == yes ]] && return 0
  mkdir -p -- "$out"
  echo "not run: $1 is not installed" | tee -a "$out/$2.txt"
  return 1
}

stage_facts() {
  local ok=0
  have nvidia-smi facts && { run facts nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,ecc.mode.current --format=csv || ok=1; }
  run facts "$gridstep" doctor || ok=1
  run facts "$bench" kernels copy --device cuda --sizes 1K,1M,64M,1G --seconds 2 --json "$out/facts.json" || ok=1
  return $ok
}
stage_tests() { run tests "$gpu_tests" --reporter console --durations yes; }
stage_sanitizer() {
  have compute-sanitizer sanitizer || return 0
  local tool ok=0
  limit=130
  for tool in memcheck racecheck initcheck synccheck; do
    run sanitizer compute-sanitizer --tool "$tool" --error-exitcode 3 "$gpu_tests" || ok=1
  done
  limit=540
  return $ok
}
stage_harness() {
  local ok=0
  run harness "$gpu_tests" '*fragment*,*bits*,*GPU*' || ok=1
  [[ -x $simt_tests ]] && { run harness "$simt_tests" || ok=1; }
  return $ok
}
stage_kernels() {
  run kernels "$bench" kernels --device cuda --sizes 64K,1M,16M,256M --seconds 1 --json "$out/kernels-hot.json" --markdown "$out/kernels-hot.md" &&
    run kernels "$bench" kernels --device cuda --sizes 1M,16M,256M --caches cold --seconds 1 --json "$out/kernels-cold.json" --markdown "$out/kernels-cold.md"
}
stage_step() {
  local patch bits ok=0
  for patch in 17 48; do
    for bits in 8,8 32,32; do
      run step "$bench" step --device cuda --patch $patch --bits $bits --seconds 3 --json "$out/step-$patch-${bits/,/-}.json" || ok=1
    done
    run step "$bench" step --device cuda --patch $patch --capture off --seconds 3 --json "$out/step-$patch-eager.json" || ok=1
    run step "$bench" population --device cuda --patch $patch --replicas 1,4,16,64 --seconds 3 --json "$out/population-$patch.json" || ok=1
  done
  return $ok
}
stage_peers() {
  local patch ok=0
  limit=270
  for patch in 17 48; do
    run peers "$bench" compare --device cuda --patch $patch --rounds 2 --seconds 2 --peer-python "$python" --json "$out/peers-$patch.json" --markdown "$out/peers-$patch.md" || ok=1
  done
  limit=540
  return $ok
}
stage_exactness() { run exactness "$gpu_tests" '*exact sums*,*own convolution*'; }
stage_profile() {
  have ncu profile || return 0
  local kernel ok=0
  limit=100
  for kernel in forward_kernel backward_kernel update_kernel implicit_gemm_kernel norms_kernel; do
    run profile ncu --set full -k "regex:$kernel" -c 2 "$bench" step --device cuda --capture off --patch 48 --optimizer sgd_clip --seconds 0.01 || ok=1
  done
  limit=540
  return $ok
}

for stage in "${chosen[@]}"; do
  echo "== $stage: $(describe "$stage")"
  "stage_$stage" || failed+=("$stage")
done
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}; see $out/"
  exit 1
fi
[[ $dry == yes ]] && echo "nothing was run: this was a dry run" || echo "all stages passed; results in $out/"
