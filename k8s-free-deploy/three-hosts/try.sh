#!/usr/bin/env bash
# Tries the three hosts on one machine: the same files, on three addresses of the loopback. Starts
# etcd, Patroni and berth-server three times, kills the database's primary and then the leading
# berth-server with what runs beside it, and shows that a person's calls go on. As root; needs the
# packages patroni, etcd-server and postgresql, and Berth's programs in $BERTH_BIN.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${BERTH_BIN:?the folder with berth and berth-server}
root=$(mktemp -d /tmp/berth-three-hosts.XXXXXX)
chmod 755 "$root"
# Whoever connects to one of these addresses comes from 127.0.0.1.
export ADDRESS_1=127.0.10.1 ADDRESS_2=127.0.10.2 ADDRESS_3=127.0.10.3 NETWORK=127.0.0.0/8
export POSTGRES_PASSWORD=try-1 REPLICATION_PASSWORD=try-2 BERTH_PASSWORD=try-3
export HOME=$root XDG_CONFIG_HOME=$root/config XDG_STATE_HOME=$root/state
pids=()

stop_all() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  wait || true
  rm -rf "$root"
}
trap stop_all EXIT

# start HOST WHAT COMMAND…: in the background; its process id is in HOST/WHAT.pid.
start() {
  local folder=$root/$1 what=$2
  shift 2
  "$@" >>"$folder/$what.log" 2>&1 &
  pids+=($!)
  echo $! >"$folder/$what.pid"
}

# until_so SECONDS WHAT COMMAND…: waits, and says how long it took.
until_so() {
  local limit=$1 what=$2 begin=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS - begin > limit)); then
      echo "$what: not within $limit s" >&2
      tail -n 20 "$root"/*/*.log >&2
      exit 1
    fi
    sleep 0.2
  done
  echo "$what: after $((SECONDS - begin)) s"
}

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
databases="host=$ADDRESS_1,$ADDRESS_2,$ADDRESS_3 user=postgres target_session_attrs=read-write"
on_primary() {
  PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=3 psql -qAt "$databases dbname=postgres" -c "$1"
}
start_berth() { start "$1" berth-server "$bin/berth-server" --settings "$root/$1/server.yaml"; }
berth() { "$bin/berth" "$@"; }

for host in 1 2 3; do
  ETCD_DATA=$root/$host/etcd POSTGRES_DATA=$root/$host/postgres/data \
    POSTGRES_SOCKETS=$root/$host/postgres BERTH_STATE=$root/$host/berth \
    "$here/render.sh" $host "$root/$host"
  echo 'http: "off"' >>"$root/$host/server.yaml"
  mkdir "$root/$host/postgres"
  chown postgres: "$root/$host/postgres" "$root/$host/patroni.yml"
  chmod 755 "$root/$host"
  start $host etcd env $(grep -v '^#' "$root/$host/etcd.env") etcd
done
for host in 1 2 3; do
  start $host patroni as_postgres patroni "$root/$host/patroni.yml"
done
until_so 90 "a database takes writes" on_primary "SELECT 1"
on_primary "CREATE ROLE berth LOGIN PASSWORD '$BERTH_PASSWORD'"
on_primary "CREATE DATABASE berth OWNER berth"
until_so 90 "it replicates synchronously" \
  sh -c "patronictl -c $root/1/patroni.yml list | grep -q 'Sync Standby'"
patronictl -c "$root/1/patroni.yml" list

start_berth 1
until_so 60 "the first copy has its keys" test -e "$root/1/berth/secrets/member"
for host in 2 3; do
  cp -a "$root/1/berth" "$root/$host/berth"
  start_berth $host
done
all=$ADDRESS_1:7443,$ADDRESS_2:7443,$ADDRESS_3:7443
until_so 60 "a person signs in" berth login --server "$all" --ca-file "$root/1/berth/ca.pem" \
  --token-file "$root/1/berth/bootstrap-token" --org home
berth org create before

primary() { on_primary "SELECT host(inet_server_addr())"; }
of_database=$(primary)
host=${of_database##*.}
echo "kill -9 of the database's primary, on host $host, with its Patroni"
kill -9 "$(cat "$root/$host/patroni.pid")"
kill -9 "$(head -n 1 "$root/$host/postgres/data/postmaster.pid")"
until_so 120 "Berth serves again" berth org create after-the-database
start "$host" patroni as_postgres patroni "$root/$host/patroni.yml"

leader=$(PGPASSWORD=$POSTGRES_PASSWORD psql -qAt \
  "$databases dbname=berth" -c "SELECT address FROM berth_lease WHERE stream = 'auth'")
leader=${leader%:*}
host=${leader##*.}
echo "kill -9 of the leading berth-server, on host $host"
kill -9 "$(cat "$root/$host/berth-server.pid")"
until_so 60 "Berth serves again" berth org create after-berth-server

berth org list
for org in before after-the-database after-berth-server; do
  berth org list -o json | grep -q "\"$org\"" || { echo "$org is lost" >&2; exit 1; }
done
until_so 120 "the killed database follows again" \
  sh -c "[ \$(patronictl -c $root/1/patroni.yml list | grep -cE 'running|streaming') = 3 ]"
patronictl -c "$root/1/patroni.yml" list
echo "nothing is lost"
