#!/usr/bin/env bash
# Clients that connect and send nothing, for two seconds:
# bash book/scripts/silent-clients.sh 127.0.0.1:1337 CLIENTS
set -euo pipefail
address=$1
clients=$2

open=()
for _ in $(seq "$clients"); do
  # For a file of this name, bash opens a TCP connection.
  exec {client}<>"/dev/tcp/${address%:*}/${address##*:}"
  open+=("$client")
done
echo "${#open[@]} clients are connected"
sleep 2
