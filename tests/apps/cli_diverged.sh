#!/usr/bin/env bash
# One network of eight with a rate that no network survives: it is recorded as diverged with layer and step, the others' checkpoints have the
# bytes of a study without it and of a run alone, and the study ends well. All diverged is exit code 5. Rates that are no rates are refused.
# usage: cli_diverged.sh GRIDSTEP
set -u
gridstep=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

calm="0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007"
with_wild="0.001, 0.002, 0.003, 1e30, 0.004, 0.005, 0.006, 0.007"
write_study() { # MODEL OPTIMIZER RATES
  printf '[study]\nname = "wild"\n[model]\nname = "%s"\n[train]\nepochs = 2\nbatch = 4\n' "$1"
  [ "$1" != espcn ] || printf 'patch = 7\nsteps_per_epoch = 5\n'
  printf '[data]\nname = "synthetic"\nsynthetic_images = %s\nsynthetic_val_images = %s\n' $([ "$1" = espcn ] && echo 3 4 || echo 20 10)  # Adam at 1e30 takes seven steps to diverge
  [ "$1" != espcn ] || printf 'synthetic_size = 48\n'
  printf '[optim]\nname = "%s"\n[grid]\noptim.lr = [%s]\n' "$2" "$3"
}
study() { "$gridstep" study "$1" --device cpu --threads 2 --set "data.cache=$work/cache" --out "$2" "${@:3}" > "$work/log" 2>&1; }

compared=0
for model in espcn resnet20; do
  for optimizer in sgd adam; do
    here=$work/$model-$optimizer
    mkdir "$here"
    write_study $model $optimizer "$with_wild" > "$here/all.toml"
    write_study $model $optimizer "$calm" > "$here/calm.toml"
    study "$here/all.toml" "$here/all" --set train.replicas=8
    got=$?
    [ "$got" = 0 ] || { cat "$work/log"; fail "$model, $optimizer: exit code $got though seven of eight ended well"; }
    wild=$(grep -lE '"status": ?"diverged"' "$here"/all/cells/*/result.json)
    [ "$(echo "$wild" | wc -l)" = 1 ] || fail "$model, $optimizer: diverged are: $wild"
    grep -qE '"replicas": ?8' "$wild" || fail "$model, $optimizer: the eight did not train together"
    name=$(basename "$(dirname "$wild")")
    for file in "$wild" "$here/all/results.json" "$here/all/table.md"; do
      grep -qE 'not finite in [^ ]+.* at step [1-9]' "$file" || fail "$model, $optimizer: $file does not say where and when"
      grep -q diverged "$file" || fail "$model, $optimizer: $file does not say diverged"
    done
    study "$here/calm.toml" "$here/calm" --set train.replicas=7 || { cat "$work/log"; fail "the study without it"; }
    study "$here/calm.toml" "$here/solo" --set train.replicas=1 || { cat "$work/log"; fail "the networks alone"; }
    for cell in "$here"/all/cells/*/; do
      cell=$(basename "$cell")
      [ "$cell" != "$name" ] || continue
      for other in calm solo; do
        for which in last best; do
          cmp -s "$here"/{all,$other}/cells/"$cell/checkpoints/$which.safetensors" ||
            fail "$model, $optimizer: $which.safetensors of $cell differs from that of the study $other"
          compared=$((compared + 1))
        done
      done
    done
    if [ $model = espcn ]; then
      write_study $model $optimizer "1e30, 2e30" > "$here/none.toml"
      study "$here/none.toml" "$here/none"
      got=$?
      [ "$got" = 5 ] && grep -q 'every one of the 2 cells diverged' "$work/log" || { cat "$work/log"; fail "all diverged: exit code $got, wanted 5"; }
    fi
  done
done

write_study espcn sgd 0.1 > "$work/rates.toml"
for rate in nan inf -inf -0.1 1e309 0; do
  for key in optim.lr grid.optim.lr; do
    study "$work/rates.toml" "$work/rates" --set $key=$rate
    got=$?
    [ "$got" = 2 ] && grep -q 'optim\.lr\|rates' "$work/log" || { cat "$work/log"; fail "$key = $rate: exit code $got, wanted 2 and the key"; }
    [ ! -e "$work/rates" ] || fail "$key = $rate left a run folder"
  done
done
study "$work/rates.toml" "$work/rates" --set grid.optim.lr=1e38
got=$?
[ "$got" = 5 ] || { cat "$work/log"; fail "a rate of 1e38: exit code $got, wanted 5"; }
echo "passed: $compared checkpoints beside a diverged network have the bytes they have without it"
