#!/usr/bin/env bash
# Words that may not stand in some files: patterns.sh ROOT launch|asm|rounding|no_fast_math|words
rule=${2:?usage: ${0##*/} ROOT RULE}
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# Prints file:line: text for lines outside comments that match the pattern, in files named on standard input.
search_code() {
  local pattern=$1 file
  while IFS= read -r file; do
    sed -E 's|//.*||' -- "$file" | grep -nE -- "$pattern" | sed "s|^|$file:|" || true
  done
}

# Drops the files named (extended regular expressions on whole paths).
without() {
  local expression
  expression=$(IFS='|' && echo "$*")
  grep -vE "^($expression)\$" || true
}

case $rule in
launch)
  # One launch door; the toolkit's headers stay behind engine/device/cuda and, in tests, its emulation.
  {
    all_sources | without 'engine/device/cuda/launch\.cuh' | search_code '<<<'
    all_sources | without 'engine/device/cuda/.*' 'tests/simt/runtime/.*' |
      search_code '#[[:space:]]*include[[:space:]]*<(cuda|cublas|cudnn|cub/|thrust/|nvtx3/)'
  } | conclude launch
  ;;
asm)
  # PTX stands in one header, which the harness has another half of. Listed besides: the harness's own switch of stacks.
  all_sources | without 'engine/device/cuda/ptx\.cuh' 'tests/simt/fiber\.cpp' |
    search_code '(^|[^[:alnum:]_])(__)?asm(__)?[[:space:]]*(\(|volatile|goto|$)' | conclude asm
  ;;
rounding)
  # One rounding rule: strict::round_even. Listed: double arithmetic on the host that no device repeats. Tests hold oracles of their own.
  all_sources |
    without 'tests/.*' 'engine/base/strict_math\.h' 'engine/quant/observer\.cpp' 'engine/study/tune\.cpp' |
    search_code '(^|[^[:alnum:]_.>])(std::)?(l?l?round|l?l?rint|nearbyint|roundeven)[fl]?[[:space:]]*\(' | conclude rounding
  ;;
no_fast_math)
  # Options and intrinsics that contract, approximate or reorder. Build files and scripts are searched with their comments.
  options='-ffast-math|-Ofast|-funsafe-math|-fassociative-math|-freciprocal-math|-ffinite-math|-fno-signed-zeros'
  options+='|-ffp-contract=(fast|on)|use_fast_math|-ftz=true|-prec-(div|sqrt)=false|-fmad=true'
  {
    text_files | without 'tests/lint/.*' '.*\.md' | { grep -E '(^|/)(CMakeLists\.txt|CMakePresets\.json)$|\.(cmake|sh|in)$|^\.ci/' || true; } |
      while IFS= read -r file; do grep -HnE -- "$options" "$file" || true; done
    all_sources |
      search_code "$options|#[[:space:]]*pragma[[:space:]]+(GCC[[:space:]]+optimize|STDC[[:space:]]+FP_CONTRACT|omp.*reduction)"
    sources '*.h' '*.cu' '*.cuh' '*.cpp' | without 'tests/.*' |
      search_code '__(exp|exp10|log|log2|log10|sin|cos|tan|pow)f\(|__f?dividef\(|__frsqrt_rn\(|__fmaf?_r|(^|[^[:alnum:]_])(std::)?fmaf?\('
  } | conclude no_fast_math
  ;;
words)
  # Work that was put off, and remarks of the moment.
  text_files | without 'tests/lint/.*' 'LICENSE' |
    while IFS= read -r file; do
      grep -HniE -- '\b(TODO|FIXME|XXX|HACK)\b|\bfor now\b|not (yet )?implemented|\bstub\b|placeholder' "$file" || true
    done | conclude words
  ;;
*)
  echo "unknown rule: $rule" >&2
  exit 2
  ;;
esac
