#!/usr/bin/env bash
# What only a GPU can show, in stages of under nine minutes each, in the order of worth. Needs a GPU, its driver, and the bundle (bin/, lib/,
# tests/, share/) or a build folder; PyTorch for the peers and ceilings, compute-sanitizer and ncu where installed. Changes no setting of
# the card.
#
#   gpu_check.sh [--build DIR | --bundle DIR] [--out DIR] [--python PYTHON] [--stage-seconds N] [--dry-run] [STAGE...]
#
# Without --build and --bundle: the bundle that this script lies in. Each stage replaces <out>/<stage>.txt, and .json where there are figures;
# <out>/summary.json tells of every stage run so far. Exit codes: 0 every stage chosen passed, 1 one failed (the others are run all the same),
# 2 usage. A stage whose tool is not installed is "not run", which is no failure.
set -uo pipefail

stages=(facts tests memcheck racecheck initcheck synccheck harness kernels kernels_cold step step_classifiers peers peers_48 peers_classifiers peers_tuned exactness profile)
describe() {
  case $1 in
  facts) echo "device and driver; ceilings: copy, bf16 and int8 matrix products, a node of a CUDA graph" ;;
  tests) echo "every gpu test" ;;
  memcheck | racecheck | initcheck | synccheck) echo "compute-sanitizer $1 over the gpu tests" ;;
  harness) echo "fragment layouts of mma and ldmatrix, the device against the CPU, the same cases in the host harness" ;;
  kernels) echo "gridstep-bench kernels, hot caches" ;;
  kernels_cold) echo "gridstep-bench kernels, cold caches" ;;
  step) echo "gridstep-bench step and population" ;;
  step_classifiers) echo "gridstep-bench step of ResNet-18 and ResNet-20" ;;
  peers) echo "gridstep-bench compare with PyTorch, 17 pixels" ;;
  peers_48) echo "the same, 48 pixels" ;;
  peers_classifiers) echo "gridstep-bench compare with PyTorch, ResNet-18 and ResNet-20" ;;
  peers_tuned) echo "the same with torch.compile's slow modes, both" ;;
  exactness) echo "sums of codes on tensor cores against int64" ;;
  profile) echo "Nsight Compute on the kernels where the time is expected" ;;
  esac
}
usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  echo "stages:"
  for s in "${stages[@]}"; do printf '  %-13s %s\n' "$s" "$(describe "$s")"; done
}
refuse() {
  echo "error: $1" >&2
  usage >&2
  exit 2
}

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
bundle=$(dirname "$here") build='' out=gpu_check python=python3 stage_seconds=530 dry=no
chosen=()
while (($#)); do
  case $1 in
  --build | --bundle | --out | --python | --stage-seconds)
    [[ -n ${2:-} ]] || refuse "$1 needs a value"
    name=${1#--}
    printf -v "${name//-/_}" %s "$2"
    shift
    ;;
  --dry-run) dry=yes ;;
  -h | --help) usage; exit 0 ;;
  -*) refuse "unknown option '$1'" ;;
  *)
    [[ " ${stages[*]} " == *" $1 "* ]] || refuse "there is no stage '$1'"
    chosen+=("$1")
    ;;
  esac
  shift
done
((${#chosen[@]})) || chosen=("${stages[@]}")
[[ $stage_seconds =~ ^[1-9][0-9]{0,4}$ ]] || refuse "--stage-seconds '$stage_seconds' is no number of seconds"

if [[ -n $build ]]; then
  gridstep=$build/gridstep bench=$build/gridstep-bench peers=$here/peers
  gpu_tests=$build/tests/cuda/test_cuda ptx_tests=$build/tests/cuda/test_ptx_device simt_tests=$build/tests/simt/test_simt
else
  gridstep=$bundle/bin/gridstep bench=$bundle/bin/gridstep-bench peers=$bundle/share/gridstep/peers
  gpu_tests=$bundle/tests/test_cuda ptx_tests=$bundle/tests/test_ptx_device simt_tests=$bundle/tests/test_simt
fi
for program in "$gridstep" "$bench" "$gpu_tests" "$ptx_tests" "$simt_tests"; do
  [[ -x $program ]] && continue
  echo "error: there is no $program; --build names a build folder with CUDA and tests, --bundle an unpacked bundle of one" >&2
  exit 2
done
# gridstep finds CUDA's libraries in the packages of the Python that PATH names first.
if [[ $python == */* ]]; then
  folder=$(CDPATH='' cd -- "$(dirname -- "$python")" 2> /dev/null && pwd) || refuse "--python $python: there is no such folder"
  python=$folder/${python##*/}
  export PATH=$folder:$PATH
fi

# say WORDS...: to the terminal and to the stage's file.
say() {
  echo "$*"
  if [[ $dry == no ]]; then echo "$*" >> "$out/$stage.txt"; fi
}

# run COMMAND...: its output goes to the terminal and to the stage's file; it gets what is left of the stage's time.
run() {
  local code=0 left=$((deadline - SECONDS)) words
  printf -v words ' %q' "$@"
  say "\$$words"
  if [[ $dry == yes ]]; then return; fi
  if ((left < 1)); then
    say "failed: the stage's $stage_seconds seconds were over before this"
    return 1
  fi
  timeout --kill-after=5 "$left" "$@" < /dev/null 2>&1 | tee -a "$out/$stage.txt"
  code=${PIPESTATUS[0]}
  case $code in
  0) return ;;
  77) say "failed: skipped, no GPU can be used" ;;
  124 | 137) say "failed: stopped when the stage's $stage_seconds seconds were over (or killed)" ;;
  *) say "failed: exit code $code" ;;
  esac
  return 1
}

# figures FILE COMMAND...: as run; what the command prints last, a line of JSON, is kept in FILE.
figures() {
  local file=$out/$1
  shift
  run "$@" || return 1
  if [[ $dry == no ]]; then tail -n 1 "$out/$stage.txt" > "$file"; fi
}

# have PROGRAM: a stage whose tool is missing is not run.
have() {
  if [[ $dry == yes ]] || command -v "$1" > /dev/null; then return; fi
  say "not run: there is no $1"
  result='not run'
  return 1
}
have_torch() {
  have "$python" || return 1
  if [[ $dry == yes ]] || "$python" -c 'import torch' 2> /dev/null; then return; fi
  say "not run: $python has no PyTorch (--python names one that has)"
  result='not run'
  return 1
}

stage_facts() {
  local ok=0
  if command -v nvidia-smi > /dev/null; then
    run nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,ecc.mode.current --format=csv || ok=1
  fi
  run "$gridstep" doctor || ok=1
  run "$bench" kernels copy --device cuda --sizes 1K,1M,64M,1G --seconds 2 --json "$out/facts.json" || ok=1
  if have_torch; then
    figures ceilings.json "$python" "$peers/ceilings.py" --device cuda || ok=1
  else
    result=''  # the rest of the stage counts
  fi
  return $ok
}
stage_tests() {
  local ok=0
  run "$ptx_tests" || ok=1
  run "$gpu_tests" --durations yes || ok=1
  return $ok
}
sanitize() {
  local program ok=0
  have compute-sanitizer || return 0
  for program in "$ptx_tests" "$gpu_tests"; do
    run compute-sanitizer --tool "$1" --error-exitcode 3 "${@:2}" "$program" || ok=1
  done
  return $ok
}
stage_memcheck() { sanitize memcheck --leak-check full; }
stage_racecheck() { sanitize racecheck --racecheck-report analysis; }
stage_initcheck() { sanitize initcheck; }
stage_synccheck() { sanitize synccheck; }
stage_harness() {
  local ok=0
  run "$ptx_tests" || ok=1
  run "$gpu_tests" '*CPU*,*bits*' || ok=1
  run "$simt_tests" || ok=1
  return $ok
}
bench_kernels() { run "$bench" kernels --device cuda --caches "$1" --sizes "$2" --seconds 0.5 --json "$out/$stage.json" --markdown "$out/$stage.md"; }
stage_kernels() { bench_kernels hot 1K,64K,1M,16M,256M,1G,4G; }
stage_kernels_cold() { bench_kernels cold 64K,1M,16M,256M; }
stage_step() {
  local patch bits ok=0
  for patch in 17 48; do
    for bits in 8,8 32,32; do
      run "$bench" step --device cuda --patch $patch --bits $bits --seconds 3 --json "$out/step-$patch-${bits/,/-}.json" || ok=1
    done
    run "$bench" step --device cuda --patch $patch --capture off --seconds 3 --json "$out/step-$patch-eager.json" || ok=1
    run "$bench" step --device cuda --patch $patch --fuse none --seconds 3 --json "$out/step-$patch-unfused.json" || ok=1
    run "$bench" population --device cuda --patch $patch --replicas 1,4,16,64 --seconds 3 --json "$out/population-$patch.json" || ok=1
  done
  return $ok
}
stage_step_classifiers() {
  local bits backward ok=0
  for bits in 8,8 32,32; do
    for backward in float32 bfloat16; do
      run "$bench" step --device cuda --model resnet20 --batch 128 --bits $bits --backward $backward --seconds 3 --json "$out/step-resnet20-${bits/,/-}-$backward.json" || ok=1
      run "$bench" step --device cuda --model resnet18 --batch 64 --bits $bits --backward $backward --seconds 3 --json "$out/step-resnet18-${bits/,/-}-$backward.json" || ok=1
    done
  done
  return $ok
}
# compare "SHAPE OPTIONS" FILE PEERS...: beside PyTorch in the ways named.
compare() {
  local shape file=$2
  read -ra shape <<< "$1"
  shift 2
  run "$bench" compare --device cuda "${shape[@]}" --rounds 2 --seconds 2 --peer-python "$python" --peers "$peers" \
    --json "$out/$file.json" --markdown "$out/$file.md" --only "$@"
}
quick_peers=(eager "eager, channels last" "eager, fused Adam" "learnable operator" "eager, CUDA graph" "float, no quantizers" torch.compile)
stage_peers() { ! have_torch || compare "--patch 17" peers-17 "${quick_peers[@]}"; }
stage_peers_48() { ! have_torch || compare "--patch 48" peers-48 "${quick_peers[@]}"; }
stage_peers_classifiers() {
  local ok=0
  have_torch || return 0
  compare "--model resnet20 --batch 128" peers-resnet20 eager "eager, channels last" torch.compile "float, no quantizers" || ok=1
  compare "--model resnet18 --batch 64" peers-resnet18 eager "eager, channels last" torch.compile "float, no quantizers" || ok=1
  return $ok
}
stage_peers_tuned() {
  local patch ok=0
  have_torch || return 0
  for patch in 17 48; do compare "--patch $patch" "peers-tuned-$patch" "torch.compile reduce-overhead" "torch.compile max-autotune" || ok=1; done
  return $ok
}
stage_exactness() { run "$gpu_tests" '*exact sums*,*every tile*'; }
profile() { run ncu --set full -k "regex:^$1" -c 2 "$bench" "${@:2}" --device cuda --seconds 0.01; }
stage_profile() {
  local ok=0
  have ncu || return 0
  profile implicit_gemm_kernel step --patch 48 --capture off || ok=1
  profile data_gradient_kernel step --patch 48 --capture off --backward bfloat16 || ok=1
  profile weight_gradient_kernel step --patch 48 --capture off --backward bfloat16 || ok=1
  profile backward_kernel kernels quantize_backward --sizes 64M || ok=1
  profile forward_kernel kernels quantize --sizes 64M || ok=1
  profile update_kernel kernels adam --sizes 64M || ok=1
  profile norms_kernel kernels sgd_clip --sizes 64M || ok=1
  return $ok
}

# summary RESULT SECONDS: the stage's line in summary.json, one object per line.
summary() {
  local file=$out/summary.json lines=''
  if [[ -e $file ]]; then lines=$(grep '"stage"' "$file" | grep -v "\"stage\": \"$stage\"" | sed 's/,$//'); fi
  lines+=${lines:+$'\n'}"  {\"stage\": \"$stage\", \"result\": \"$1\", \"seconds\": $2}"
  printf '[\n%s\n]\n' "$(sed '$!s/$/,/' <<< "$lines")" > "$file"
}

[[ $dry == yes ]] || mkdir -p -- "$out" || exit 2
failed=()
for stage in "${chosen[@]}"; do
  echo "== $stage: $(describe "$stage")"
  started=$SECONDS deadline=$((SECONDS + stage_seconds)) result=''
  if [[ $dry == no ]]; then : > "$out/$stage.txt"; fi
  if "stage_$stage"; then result=${result:-passed}; else result=failed; fi
  [[ $result != failed ]] || failed+=("$stage")
  if [[ $dry == no ]]; then
    summary "$result" $((SECONDS - started))
    echo "== $stage: $result, $((SECONDS - started)) s"
  fi
done
if [[ $dry == yes ]]; then
  echo "nothing was run: this was a dry run"
elif ((${#failed[@]})); then
  echo "failed: ${failed[*]}; see $out/"
  exit 1
else
  echo "no stage failed; results in $out/"
fi
