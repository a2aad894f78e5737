#!/bin/bash
# Prints which part of its lines each folder's tests ran, after `ctest --preset coverage`. Fails
# where common, services, edge or agent have less than four fifths.
#
# Usage: bash integration/coverage.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# Without the records of functions, which gcovr 5.2 cannot merge as clang writes them.
gcov=$PWD/build/coverage/gcov
cat >"$gcov" <<'GCOV'
#!/bin/bash
llvm-cov-19 gcov "$@"
code=$?
sed -i '/^function /d' ./*.gcov
exit $code
GCOV
chmod +x "$gcov"
gcovr --root . --gcov-executable "$gcov" -j 2 \
  --filter '(common|services|edge|agent|cli)/' --exclude 'common/testing/' \
  --exclude '.*_(test|fuzz)\.cpp' --exclude '.*_contract\.h' \
  --csv build/coverage/lines.csv build/coverage

awk -F , -v percent_min=80 '
  function count(name) { lines[name] += $2; covered[name] += $3 }
  function percent(name) { return lines[name] ? 100 * covered[name] / lines[name] : 0 }
  NR > 1 {
    split($1, folder, "/")
    count(folder[1])
    if (folder[1] ~ /^(common|services)$/) count(folder[1] "/" folder[2])
  }
  END {
    for (name in lines) {
      printf "%6.1f %%  %6d lines  %s\n", percent(name), lines[name], name | "sort -k 5"
    }
    close("sort -k 5")
    required = split("common services edge agent", names, " ")
    for (i = 1; i <= required; i++) {
      if (percent(names[i]) < percent_min) {
        print names[i] ": less than " percent_min " % of the lines ran"
        failed = 1
      }
    }
    exit failed
  }' build/coverage/lines.csv
