#!/bin/bash
# Runs a benchmark: installs the peers it needs, builds optimised, prints a table and, as its last
# line, one JSON object. Root; on a machine that does nothing else.
#
# Usage: bash integration/bench/run.sh footprint|deploy|log|watch
set -euo pipefail
cd "$(dirname "$0")/../.."
source k8s-free-deploy/lib/steps.sh

bench=${1:-}
case $bench in
  footprint | deploy) targets=(berth berth-server berth-agent berth-edge hello empty_grpc_server) ;;
  log) targets=(bench_keyvalue_server) ;;
  watch) targets=(bench_keyvalue_server null_broadcaster) ;;
  *) echo 'usage: bash integration/bench/run.sh footprint|deploy|log|watch' >&2; exit 2 ;;
esac
build=$PWD/build/bench
log_folder=$build/logs
mkdir -p "$log_folder"

build_bench() {
  cmake --preset release -B "$build" -DBUILD_TESTING=ON
  cmake --build "$build" --target "bench_$bench" "${targets[@]}"
}

step 'install Debian packages' install_packages k8s-free-deploy/packages-build.txt \
  k8s-free-deploy/packages-runtime.txt integration/packages.txt integration/bench/packages.txt
step 'build (release)' build_bench
unset CONTAINERS_CONF XDG_CONFIG_HOME XDG_STATE_HOME
BERTH_BIN=$build/bin exec "$build/bin/bench_$bench"
