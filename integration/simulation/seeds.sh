#!/bin/bash
# The seeds of the test command; ctest runs them as `simulation`. First the same ones each time, in
# two processes, whose histories must be the same to the byte. Then others, from the time on: for
# two minutes, the same share of them for each scenario, or `seeds_long` of all in turn where
# BERTH_LONG is set.
#
# Usage: bash integration/simulation/seeds.sh SIMULATE
set -euo pipefail
simulate=$(realpath "$1")
seeds_repeated=20
seconds=120
seeds_long=10000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for run in first second; do
  "$simulate" --seed 1 --seeds "$seeds_repeated" | tee "$work/$run"
  grep '^trace ' "$work/$run" >"$work/$run-trace"
done
if ! cmp "$work/first-trace" "$work/second-trace"; then
  echo "seeds 1 to $seeds_repeated: not the same history in another process" >&2
  exit 1
fi

if [ -n "${BERTH_LONG:-}" ]; then
  "$simulate" --seeds "$seeds_long"
else
  "$simulate" --seconds "$seconds"
fi
