#!/usr/bin/env bash
# Every key of every shipped study: misspelt, of the wrong type, out of range, given twice, and in a table that does not exist. Each must end
# with exit code 2, name the file and the line, quote the key (a misspelt one with the nearest), and write nothing. Then combinations
# that cannot work.   usage: config_sweep.sh GRIDSTEP STUDY.toml...
set -u
[ $# -ge 2 ] || { echo "usage: config_sweep.sh GRIDSTEP STUDY.toml..."; exit 2; }
gridstep=$(realpath "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0 wrong=0

# refused WHAT TEXT... -- ARGUMENT...: every text must occur in the message
refused() {
  local what=$1 texts=() output code
  shift
  while [ "$1" != -- ]; do texts+=("$1"); shift; done
  shift
  tried=$((tried + 1))
  output=$("$gridstep" study "$@" --device cpu --out "$work/out" 2>&1 < /dev/null)
  code=$?
  local fault=""
  [ "$code" = 2 ] || fault="exit code $code"
  for text in "${texts[@]}"; do
    case $output in *"$text"*) ;; *) fault="$fault; '$text' is not in the message" ;; esac
  done
  [ -e "$work/out" ] && { fault="$fault; something was written"; rm -rf "$work/out"; }
  [ -z "$fault" ] && return
  echo "$what: $fault: $output" | head -3
  wrong=$((wrong + 1))
}

# with LINE TEXT: the study with that line replaced
with() { awk -v n="$1" -v text="$2" 'NR == n { print text; next } { print }' "$study" > "$work/sweep.toml"; }

# A value of another type, and one that no key of this kind takes.
wrong_type() { case $1 in '"'*) echo 12345 ;; '['*) echo '{ a = 1 }' ;; *) echo '"text"' ;; esac; }
out_of_range() { case $1 in '"'*) echo '"nonsense"' ;; true | false) echo 7 ;; '['*) echo '[]' ;; *) echo '-1e30' ;; esac; }

for study in "$@"; do
  name=$(basename "$study") number=0
  while IFS= read -r line; do
    number=$((number + 1))
    [[ $line =~ ^([a-z_0-9.]+)\ =\ (.*)$ ]] || continue
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]%%  #*}
    leaf=${key##*.}
    where="sweep.toml:$number"
    misspelt="${key}x"
    with "$number" "$misspelt = $value"
    refused "$name, $misspelt" "$where" "$leaf" "did you mean" -- "$work/sweep.toml"
    with "$number" "$key = $(wrong_type "$value")"
    refused "$name, $key of the wrong type" "$where" "$leaf" -- "$work/sweep.toml"
    # The name of a study and the start of a variant are free texts; a start must be a variant's name.
    if [ "$key" != name ] || ! sed -n "1,${number}p" "$study" | tac | grep -m1 '^\[' | grep -q study; then
      with "$number" "$key = $(out_of_range "$value")"
      refused "$name, $key out of range" "$leaf" -- "$work/sweep.toml"
    fi
    with "$number" "$line"$'\n'"$line"
    refused "$name, $key twice" "sweep.toml" -- "$work/sweep.toml"
  done < "$study"
  { cat "$study"; echo; echo "[nowhere]"; echo "key = 1"; } > "$work/sweep.toml"
  refused "$name, a table of no meaning" "sweep.toml:" "nowhere" -- "$work/sweep.toml"
done

# Combinations, on the command line.
base=$1
for pair in 'quant.quantizer=none quant.weight_bits=4' 'quant.weight_range=ternary quant.weight_bits=4' 'schedule.name=constant schedule.gamma=0.5' \
            'schedule.name=cosine schedule.milestones=1,2' 'quant.float_epochs=99 train.epochs=2' 'optim.name=adam optim.max_norm=1' \
            'quant.layers=x=4 train.epochs=2' 'train.batch=0 train.epochs=1' 'train.epochs=1 train.epoch=2'; do
  read -r first second <<< "$pair"
  refused "$pair" -- "$base" --set "$first" --set "$second"
done
echo "$tried attacks on $# studies, $wrong not refused as expected"
[ "$wrong" = 0 ]
