#!/usr/bin/env bash
# Includes follow the direction of the layers (table: includes.awk) and name files that exist.
table=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/includes.awk
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

mapfile -t files < <(all_sources)
if ((${#files[@]} == 0)); then exit 0; fi
awk -f "$table" "${files[@]}" | conclude includes
