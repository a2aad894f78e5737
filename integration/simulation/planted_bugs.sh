#!/bin/bash
# Shows that the simulator finds what it is for: plants one bug after another into a copy of one
# file of the product, each by changing one line, links that into a simulator of its own, and runs
# seeds until one fails. Then the same seed has to pass with the line as it is. Nothing in the work
# tree is changed.
#
# Usage: bash integration/simulation/planted_bugs.sh [BUILD_FOLDER]
# Needs a build of the target `simulate` in that folder (build/dev).
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build/dev}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seeds_max=2000

# last_command TARGET: the command that ninja makes the target with.
last_command() { ninja -C "$build" -t commands "$1" | tail -n 1; }

# build_planted OBJECT: makes $work/simulate, in which $work/planted.cpp stands in for what OBJECT
# is made of. Its object comes before the libraries, so the linker takes nothing of theirs for it.
# Warnings are not errors there, and what a debugger needs is left out: that is half of the time.
build_planted() {
  local compile link
  compile=$(last_command "$1" | sed -E \
    -e "s|-MF [^ ]+|-MF $work/planted.d|" \
    -e "s|-o [^ ]+|-o $work/planted.o|" \
    -e "s|-c [^ ]+|-g0 -w -c $work/planted.cpp|")
  link=$(last_command bin/simulate |
    sed -E "s| -o bin/simulate | -Wl,--strip-all $work/planted.o -o $work/simulate |")
  (cd "$build" && eval "$compile" && eval "$link")
}

# plant NAME SCENARIO FILE LIBRARY SED: SED changes one line of FILE, which is part of LIBRARY.
plant() {
  local name=$1 scenario=$2 file=$3 library=$4 change=$5 seed
  sed "$change" "$file" >"$work/planted.cpp"
  if [ "$(diff "$file" "$work/planted.cpp" | grep -c '^>')" -ne 1 ]; then
    echo "$name: the line to change is not in $file any more" >&2
    exit 1
  fi
  build_planted "$(dirname "$file")/CMakeFiles/$library.dir/$(basename "$file").o"
  if "$work/simulate" --scenario "$scenario" --seed 1 --seeds "$seeds_max" >"$work/out"; then
    echo "$name: NOT FOUND by $seeds_max seeds" >&2
    exit 1
  fi
  seed=$(sed -nE 's/^again with: .* --seed ([0-9]+)$/\1/p' "$work/out")
  printf '%s: found\n' "$name"
  { diff "$file" "$work/planted.cpp" || true; } | sed -n 's/^[<>]/  &/p'
  grep -E '^(seed|again with)' "$work/out" | sed 's/^/  /'
  "$build/bin/simulate" --scenario "$scenario" --seed "$seed" >/dev/null
  echo "  and seed $seed passes with the line as it is"
}

plant 'an acknowledgement before the fsync' config-sqlite common/eventlog/sqlite_file.cpp \
  berth_event_log_sqlite 's/PRAGMA synchronous = FULL;/PRAGMA synchronous = OFF;/'
plant 'a refusal answered before what it saw is durable' config-sqlite \
  common/eventlog/log_writer.cpp berth_log_writer \
  's/^      answers.push_back($/      if (!answer.ok()) item.answer(answer); answers.push_back(/'
plant 'a skipped delta' config-sqlite common/watch/watch_hub.cpp berth_watch \
  's/static_cast<uint64_t>(after - ring.positions.begin());/1 + &/'
plant 'a duplicated delta' config-sqlite common/watch/watch_hub.cpp berth_watch \
  's/std::upper_bound(ring.positions.begin()/std::lower_bound(ring.positions.begin()/'
plant 'a record erased that was not cut off' config-sqlite common/eventlog/log_writer_load.cpp \
  berth_log_writer 's/EraseThrough(begin_.position(),/EraseThrough(begin_.position() + 1,/'
plant 'a watch resumed where the log was cut' config-sqlite common/eventlog/log_writer.cpp \
  berth_log_writer 's/if (revision.position() < begin_.position())/if (revision.position() == 0)/'
plant 'memory that is promised twice' platform-sqlite services/scheduler/feasibility.cpp \
  berth_scheduler 's/memory_bytes() > memory_left/memory_bytes() > capacity.memory_bytes()/'
plant 'a connection that is not waited for' platform-sqlite services/scheduler/state.cpp \
  berth_scheduler 's/ || open->second == 0;/ || true;/'
plant 'an endpoint that is not taken out of the table' platform-sqlite \
  services/edge_router/state.cpp berth_edge_router 's/import.SaysGone(instance)/false/'
plant 'a version of a secret that comes twice' platform-sqlite services/secrets/state.cpp \
  berth_secrets 's/secret->newest + 1/secret->versions.size() + 1/'
plant "a stale leader's write" config-database common/eventlog/log_writer.cpp berth_log_writer \
  's/failure.ok() && !appended.ok()/& \&\& !absl::IsAborted(appended)/'
plant "a stale leader's answer" config-database common/eventlog/log_writer.cpp berth_log_writer \
  's/^  return lease_ends_ &&$/  return !lease_ends_ \&\&/'
