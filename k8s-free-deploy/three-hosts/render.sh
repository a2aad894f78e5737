#!/usr/bin/env bash
# Makes the files of one of the three hosts from the ones beside this: render.sh NUMBER FOLDER, with
# the addresses and passwords in variables, as README.md says. Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")"

number=$1
folder=$2
: "${ADDRESS_1:?}" "${ADDRESS_2:?}" "${ADDRESS_3:?}" "${NETWORK:?such as 10.0.0.0/24}"
: "${POSTGRES_PASSWORD:?}" "${REPLICATION_PASSWORD:?}" "${BERTH_PASSWORD:?}"
address="ADDRESS_$number"
NAME=berth-$number
ADDRESS=${!address}
ETCD_DATA=${ETCD_DATA:-/var/lib/etcd/berth}
POSTGRES_DATA=${POSTGRES_DATA:-/var/lib/postgresql/berth}
POSTGRES_SOCKETS=${POSTGRES_SOCKETS:-/var/run/postgresql}
POSTGRES_PROGRAMS=${POSTGRES_PROGRAMS:-$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)}
BERTH_STATE=${BERTH_STATE:-/var/lib/berth/server}

umask 077
mkdir -p "$folder"
for file in etcd.env patroni.yml server.yaml; do
  cp "$file" "$folder/$file"
  for variable in NAME ADDRESS ADDRESS_1 ADDRESS_2 ADDRESS_3 NETWORK POSTGRES_PASSWORD \
    REPLICATION_PASSWORD BERTH_PASSWORD ETCD_DATA POSTGRES_DATA POSTGRES_SOCKETS \
    POSTGRES_PROGRAMS BERTH_STATE; do
    sed -i "s|@$variable@|${!variable}|g" "$folder/$file"
  done
done
