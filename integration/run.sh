#!/bin/bash
# The test command: installs what the tests need, builds, and runs the unit tests (plain and under
# the sanitizers) and the integration tests with the real parts. Prints each step's time at its end.
# --long kills more and for longer, has clang-tidy look at everything, plants bugs, and prints which
# part of each folder's lines the libraries' tests run.
#
# Usage: bash integration/run.sh [--long]
set -euo pipefail
cd "$(dirname "$0")/.."
source k8s-free-deploy/lib/steps.sh

long=no
case ${1:-} in
  --long) long=yes; export BERTH_LONG=1 ;;
  '') ;;
  *) echo 'usage: bash integration/run.sh [--long]' >&2; exit 2 ;;
esac
log_folder=$PWD/build/test-logs
mkdir -p "$log_folder"

# What a step does ends at the first command that fails: `set -e` does not reach into a step.
build() { cmake --preset "$1" && cmake --build --preset "$1"; }
unit_tests() { ctest --preset "$1"; }
parts_tests() {
  ctest --test-dir "build/$1" --label-regex '^parts$' --output-on-failure --no-tests=error
}
integration_tests() {
  BERTH_BIN=$PWD/build/dev/bin ctest --test-dir build/dev --label-regex '^integration$' \
    --output-on-failure --no-tests=error --parallel 1
}
coverage() {
  build coverage && unit_tests coverage && parts_tests coverage && bash integration/coverage.sh
}
planted_bugs() { bash integration/simulation/planted_bugs.sh build/dev; }
quickstart_twice() {
  bash k8s-free-deploy/quickstart.sh && bash k8s-free-deploy/quickstart.sh &&
    bash k8s-free-deploy/quickstart.sh --down
}

step 'set-up' install_packages k8s-free-deploy/packages-build.txt \
  k8s-free-deploy/packages-runtime.txt integration/packages.txt
step 'build dev' build dev
step 'unit tests' unit_tests dev
step 'build asan' build asan
step 'unit tests under AddressSanitizer' unit_tests asan
step 'libraries with real parts under AddressSanitizer' parts_tests asan
step 'build tsan' build tsan
step 'unit tests under ThreadSanitizer' unit_tests tsan
step 'integration tests' integration_tests
step 'quickstart, twice, and down' quickstart_twice
if [ "$long" = yes ]; then
  step 'set-up of clang-tidy' install_packages integration/packages-long.txt
  step 'clang-tidy' build tidy
  step 'planted bugs' planted_bugs
  step 'coverage' coverage
fi

passed=$(cat "$log_folder"/*-tests*.log "$log_folder"/libraries*.log |
  grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed' || true)
[ "$long" = no ] || grep '^ *[0-9.]* %' "$log_folder/coverage.log"
printf '\nTime by step:\n%s\n' "$step_times"
grep 'seeds of .* passed' build/dev/Testing/Temporary/LastTest.log
echo "$passed passed, 0 failed"
