#!/bin/bash
# From a fresh Debian 12 to a served application: installs what is needed, builds Berth, starts it,
# builds the hello example's image, deploys it and asks for its page through the edge. Run again,
# it does again what
# is missing. `--down` removes every trace.
#
# Usage: bash k8s-free-deploy/quickstart.sh [--down]
set -euo pipefail
cd "$(dirname "$0")/.."
source k8s-free-deploy/lib/steps.sh

bin=$PWD/build/release/bin
state=${BERTH_STATE:-/var/lib/berth}
log_folder=$PWD/build/quickstart-logs
mkdir -p "$log_folder"
berth() { as_root "$bin/berth" "$@"; }

down() {
  if [ -x "$bin/berth" ] && as_root test -d "$state"; then
    berth down --purge --yes --state "$state"
  fi
  as_root podman rmi --force --ignore localhost/hello >/dev/null 2>&1 || true
  rm -rf build/release build/quickstart-logs
  echo 'Berth, its instances, its state and its build are gone. The Debian packages stay:'
  echo "  apt-get purge $(sed 's/#.*//' k8s-free-deploy/packages-runtime.txt | tr '\n' ' ')"
}

# limit_of HARD FILE: the most that Podman can give a container. It lowers its own limits to what
# the kernel allows, so a hard limit above that, or none, is refused.
limit_of() {
  local hard=$1 kernel_max
  kernel_max=$(cat "$2")
  if [ "$hard" = unlimited ] || [ "$hard" -gt "$kernel_max" ]; then
    hard=$kernel_max
  fi
  echo "$hard"
}

# Some machines (containers, small virtual machines) refuse what Podman asks for by default. Where
# one `podman run` fails with an error that is known, a containers.conf of Berth's own, under its
# state folder, leaves those things out; the machine's own configuration is not touched.
probe_podman() {
  local image=localhost/berth-probe output conf files processes
  printf 'FROM scratch\nCOPY hello /hello\n' |
    as_root podman build -q -t "$image" -f - "$bin" || return 1
  if output=$(as_root podman run --rm "$image" /hello --exit 0 2>&1); then
    as_root podman rmi --force "$image" >/dev/null
    return 0
  fi
  echo "$output"
  if ! grep -Eq 'rlimit|cgroup|cni|CNI|netavark|network' <<<"$output"; then
    return 1
  fi
  conf=$state/containers.conf
  files=$(limit_of "$(ulimit -Hn)" /proc/sys/fs/nr_open)
  processes=$(limit_of "$(ulimit -Hu)" /proc/sys/kernel/pid_max)
  as_root mkdir -p "$state"
  as_root chmod 700 "$state"
  as_root tee "$conf" >/dev/null <<CONF
# Written by Berth's quickstart: this machine's Podman could not run a container as configured.
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "runc"
[network]
network_backend = "netavark"
CONF
  if ! as_root env CONTAINERS_CONF="$conf" podman run --rm "$image" /hello --exit 0; then
    return 1
  fi
  as_root podman rmi --force "$image" >/dev/null
}

build_image() {
  local folder
  folder=$(mktemp -d)
  cp "$bin/hello" k8s-free-deploy/examples/hello/Containerfile "$folder"
  as_root podman build -q -t localhost/hello "$folder"
  rm -rf "$folder"
}

# What the example's manifest asks for. A value that was set stays.
set_secret() {
  if berth secret versions api-key --app hello >/dev/null 2>&1; then
    return 0
  fi
  head -c 24 /dev/urandom | base64 | tr -d '\n' | berth secret set api-key - --app hello
}

build_berth() {
  cmake --preset release
  cmake --build --preset release
}

case ${1:-} in
  --down) down; exit 0 ;;
  '') ;;
  *) echo 'usage: bash k8s-free-deploy/quickstart.sh [--down]' >&2; exit 2 ;;
esac

step 'install Debian packages' install_packages \
  k8s-free-deploy/packages-build.txt k8s-free-deploy/packages-runtime.txt
step 'build Berth (release)' build_berth
step 'try Podman' probe_podman
up_arguments=(--state "$state")
if as_root test -f "$state/containers.conf"; then
  echo "    this machine's Podman needs settings of its own: $state/containers.conf"
  export CONTAINERS_CONF=$state/containers.conf
  up_arguments+=(--containers-conf "$state/containers.conf")
fi
step 'start Berth' berth up "${up_arguments[@]}"
step 'build the image localhost/hello' build_image
step 'set its secret' set_secret
echo '==> deploy the hello example with two replicas'
berth deploy k8s-free-deploy/examples/hello

echo '==> ask for its page through the edge: by TLS server name, and by TCP port'
echo '$ curl --insecure https://hello.localhost:8443/'
curl --fail --silent --show-error --max-time 10 --insecure \
  --resolve hello.localhost:8443:127.0.0.1 https://hello.localhost:8443/ |
  tee "$log_folder/page"
grep -q '^secrets: API_KEY$' "$log_folder/page" || {
  echo 'hello was not given its secret' >&2
  exit 1
}
echo '$ curl http://127.0.0.1:8080/'
curl --fail --silent --show-error --max-time 10 http://127.0.0.1:8080/

cat <<NEXT

Berth runs on this machine and serves hello. What to try next (as root):
  export PATH=$bin:\$PATH
  berth status hello                 what runs, where, since when
  berth logs -f -a hello             what it prints
  berth scale web=3 -a hello         one more replica
  berth secret set api-key -a hello  another secret, and instances that have it
  berth doctor                       whether everything is well
  bash k8s-free-deploy/quickstart.sh --down    remove every trace
NEXT
