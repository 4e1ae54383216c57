#!/usr/bin/env bash
# Shell scripts parse, and those meant to be called may be called.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

text_files | while IFS= read -r file; do
  IFS= read -r first <"$file" || true
  if [[ $first == '#!'* && ! -x $file ]]; then echo "$file:1: has an interpreter line and is not executable"; fi
  if [[ $file == *.sh || $first == '#!'*bash* ]]; then
    bash -n "$file" 2>&1 || true
  fi
done | conclude shell
