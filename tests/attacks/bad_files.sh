#!/usr/bin/env bash
# Every file of a folder of bad pictures, as its EXPECT.tsv says: path, then decode, reject, either or ignore. A message must name
# the file; 2 GiB of address space and a minute are all that a file gets.   usage: bad_files.sh GRIDSTEP FOLDER
set -u
[ $# = 2 ] && [ -r "$2/EXPECT.tsv" ] || { echo "usage: bad_files.sh GRIDSTEP FOLDER (with an EXPECT.tsv)"; exit 2; }
gridstep=$1 folder=$2 wrong=0 files=0
while IFS=$'\t' read -r path expected _; do
  case $path in '#'* | path | '') continue ;; esac
  files=$((files + 1))
  output=$(ulimit -v 2097152; timeout 60 "$gridstep" data check -- "$folder/$path" 2>&1)
  code=$?
  case $expected:$code in
    decode:0 | either:0) continue ;;
    reject:3 | either:3 | ignore:3)
      name=${path##*/}
      case $output in *"$name"*) continue ;; esac
      echo "not named: $path: $output" ;;
    *) echo "$expected, but exit code $code: $path: $output" ;;
  esac
  wrong=$((wrong + 1))
done < "$folder/EXPECT.tsv"
echo "$files files, $wrong not as expected"
[ "$wrong" = 0 ]
