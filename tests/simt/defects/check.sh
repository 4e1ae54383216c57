#!/usr/bin/env bash
# Every planted defect is found by the variants that must find it, and nothing else is: check.sh PLAIN ASAN TSAN
# Columns: plain in the forward and the reverse schedule, ASan and UBSan forward, TSan forward. Findings:
#   wrong  the result differs         simt  the harness's own check     asan, ubsan, tsan  the sanitizer's report
#   crash  ended by a signal          -     nothing
set -euo pipefail

plain=${1:?usage: ${0##*/} PLAIN ASAN TSAN}
asan=${2:?usage: ${0##*/} PLAIN ASAN TSAN}
tsan=${3:?usage: ${0##*/} PLAIN ASAN TSAN}
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 TSAN_OPTIONS=halt_on_error=1

finding() {  # PROGRAM NAME ORDER
  local said code=0
  said=$("$@" 2>&1) || code=$?
  case $said in
  *AddressSanitizer*) echo asan ;;
  *'runtime error'*) echo ubsan ;;
  *'ThreadSanitizer: data race'*) echo tsan ;;
  *)
    case $code in
    0) echo - ;;
    3) echo wrong ;;
    4) if [[ $said == *'_kernel, block ('*'), thread ('*' of '* ]]; then echo simt; else echo "names no thread: $said"; fi ;;
    *) echo crash ;;
    esac
    ;;
  esac
}

failures=0
while read -r name forward reverse address thread; do
  got="$(finding "$plain" "$name" forward) $(finding "$plain" "$name" reverse) $(finding "$asan" "$name" forward)"
  got+=" $(finding "$tsan" "$name" forward)"
  printf '%-20s %s\n' "$name" "$got"
  if [[ $got != "$forward $reverse $address $thread" ]]; then
    echo "$name: expected $forward $reverse $address $thread" >&2
    failures=$((failures + 1))
  fi
done <<'TABLE'
none                 -     -     -     -
none_with_fences     -     -     -     -
none_with_wait       -     -     -     -
missing_barrier      wrong wrong wrong tsan
overwritten          wrong wrong wrong tsan
missing_syncwarp     wrong wrong wrong tsan
same_value           -     -     -     tsan
block_counter        -     -     -     tsan
missing_fence        -     -     -     tsan
float_atomics        -     wrong -     -
spin                 simt  -     simt  simt
missing_copy_wait    wrong -     wrong tsan
early_copy           wrong wrong wrong tsan
divergent_barrier    simt  simt  simt  simt
early_exit           simt  simt  simt  simt
absent_lane          simt  simt  simt  simt
exited_lane          simt  simt  simt  simt
divergent_warp       simt  simt  simt  simt
beyond_static        -     -     asan  -
beyond_dynamic       -     -     asan  -
beyond_global        -     -     asan  -
misaligned           -     -     ubsan -
overflow             -     -     ubsan -
unset_float          wrong wrong wrong wrong
unset_code           -     wrong -     -
unset_global         wrong wrong wrong wrong
deep_stack           crash crash asan  crash
TABLE

if ((failures)); then
  echo "$failures defect(s) were not found as they must be" >&2
  exit 1
fi
