#!/usr/bin/env bash
# Every lint finds the defects it is for, and nothing in a clean tree: selftest.sh CXX. Works in a temporary folder.
set -euo pipefail

compiler=${1:?usage: ${0##*/} CXX}
lints=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
tree="$work/a tree"
failures=0

write() {  # FILE: content from standard input
  mkdir -p -- "$(dirname -- "$tree/$1")"
  cat >"$tree/$1"
}

clean_tree() {
  rm -rf -- "$tree"
  cp "$lints/../../.clang-format" "$work/"
  write engine/base/a.h <<<$'#pragma once\n\n// A round number of things.\ninline int a() { return 1; }'
  write engine/base/a.cpp <<<$'#include "engine/base/a.h"\n\nint twice() { return 2 * a(); }'
  write kernels/x/x_cuda.cu <<<$'#include "engine/base/a.h"\n\nfloat f(float x) { return x * x + 1.0f; }'
  write CMakePresets.json <<<'{"cacheVariables": {"GS_WERROR": "ON"}}'
  write commands.json <<<'  "command": "g++ -ffp-contract=off -Werror -o a.o -c /a/a.cpp",'
  write go.sh <<<$'#!/usr/bin/env bash\necho yes'
  chmod +x "$tree/go.sh"
  cp "$work/.clang-format" "$tree/"
  write one.cu.o.ptxas <<'REPORT'
ptxas info    : Compiling entry function 'kernel' for 'sm_90'
ptxas info    : Function properties for kernel
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 14 registers, used 1 barriers, 44 bytes smem
REPORT
  write objects.txt <<<"$tree/one.cu.o"
}

run_lint() {  # LINT: its exit code in $code, what it says in $said
  local -a command
  case $1 in
  headers) command=("$lints/headers.sh" "$tree" "$compiler") ;;
  build) command=("$lints/build.sh" "$tree" "$tree/commands.json" ON) ;;
  ptxas) command=("$lints/ptxas.sh" "$tree" "$tree/objects.txt") ;;
  format | includes | shell) command=("$lints/$1.sh" "$tree") ;;
  *) command=("$lints/patterns.sh" "$tree" "$1") ;;
  esac
  code=0
  said=$("${command[@]}" 2>&1) || code=$?
}

expect() {  # LINT CODE PATTERN CASE
  run_lint "$1"
  if [[ $1 == format && $code == 77 ]]; then return; fi
  if [[ $code != "$2" ]] || ! grep -qE -- "$3" <<<"$said"; then
    echo "lint.$1 on $4: exit code $code (expected $2), expected /$3/ in: $said" >&2
    failures=$((failures + 1))
  fi
}

plant() {  # LINT FILE PATTERN: a clean tree with the content from standard input in FILE must be found out
  clean_tree
  write "$2"
  expect "$1" 1 "$3" "$2"
}

clean_tree
for lint in format includes launch asm rounding no_fast_math words headers build shell ptxas; do
  expect "$lint" 0 '' 'a clean tree'
done

plant format engine/base/a.cpp 'engine/base/a.cpp:1' <<<'int  twice( ) {return 2;}'
plant includes engine/base/b.cpp 'engine/base/b.cpp:2: engine/base may not include kernels' <<<$'\n#include "kernels/x/x_cuda.cu"'
plant includes tests/reference/o.h 'tests/reference may not include kernels' <<<'#include "kernels/x/x_cuda.cu"'
plant includes kernels/x/x.cpp 'does not exist' <<<'#include "x.h"'
plant launch kernels/x/x_cuda.cu 'x_cuda.cu:1' <<<'void f() { kernel<<<1, 32>>>(); }'
plant launch kernels/x/x.cpp 'x.cpp:1' <<<'#include <cuda_runtime.h>'
plant asm kernels/x/x_cuda.cu 'x_cuda.cu:1' <<<'__device__ void f() { asm volatile("bar.sync 0;"); }'
plant rounding kernels/x/x.cpp 'x.cpp:2' <<<$'// round(x) is fine here\nfloat f(float x) { return std::round(x); }'
plant rounding optim/y.h 'y.h:1' <<<'inline float f(float x) { return rintf(x); }'
plant no_fast_math CMakeLists.txt 'CMakeLists.txt:1' <<<'add_compile_options(-ffast-math)'
plant no_fast_math cmake/x.cmake 'x.cmake:1' <<<'target_compile_options(t PRIVATE --use_fast_math)'
plant no_fast_math kernels/x/x_cuda.cu 'x_cuda.cu:1' <<<'__device__ float f(float x) { return __expf(x); }'
plant no_fast_math kernels/x/x.cpp 'x.cpp:1' <<<'float f(float x) { return std::fma(x, x, x); }'
plant words engine/base/a.h 'a.h:1' <<<'// TODO: later'
plant words docs/a.md 'a.md:1' <<<'This works for now.'
plant headers engine/base/b.h 'engine/base/b.h:1' <<<'inline std::string b() { return {}; }'
plant build commands.json '/a/b.cpp: compiled without -Werror' <<<'  "command": "g++ -ffp-contract=off -o b.o -c /a/b.cpp",'
plant build commands.json '/a/b.cpp: compiled without -ffp-contract=off' <<<'  "command": "g++ -Werror -o b.o -c /a/b.cpp",'
plant build commands.json '/a/b.cu: compiled without -fmad=false' \
  <<<'  "command": "nvcc -Xcompiler=-ffp-contract=off,-Wall -Werror=all-warnings -x cu -c /a/b.cu -o b.o",'
plant build CMakePresets.json 'GS_WERROR' <<<'{"cacheVariables": {"GS_WERROR": "OFF"}}'
plant shell go2.sh 'go2.sh.*(unexpected|syntax)' <<<$'if true; then\necho'
plant shell tool 'not executable' <<<$'#!/usr/bin/env bash\necho yes'
plant ptxas objects.txt 'no report' <<<"$tree/two.cu.o"
plant ptxas one.cu.o.ptxas 'kernel .sm_80.: 16 bytes of local memory, 24 bytes spilled' <<'REPORT'
ptxas info    : Compiling entry function 'kernel' for 'sm_80'
ptxas info    : Function properties for kernel
    16 bytes stack frame, 12 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 44 bytes smem
REPORT
plant ptxas one.cu.o.ptxas 'kernel .sm_90.: 129 registers, more than 128' <<'REPORT'
ptxas info    : Compiling entry function 'kernel' for 'sm_90'
ptxas info    : Function properties for kernel
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 129 registers, used 1 barriers, 44 bytes smem
REPORT

if ((failures)); then
  echo "$failures planted defect(s) passed or clean tree(s) failed" >&2
  exit 1
fi
echo "every planted defect was found"
